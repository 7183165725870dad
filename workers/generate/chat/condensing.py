"""Puts the last question of a conversation so that it can be understood, and searched for, on its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

from contracts.errors import TransientError
from contracts.queries import MAX_QUERY_CHARACTERS, Turn
from workers.generate.chat.marks import without_marks
from workers.generate.chat.model import ChatMessage, ChatModel, ReplyText, Role, Sampling
from workers.generate.chat.template import PromptTemplate, fill
from workers.generate.chat.told import repeats
from workers.text.invisible import without_invisible
from workers.text.scripts import dominant_script

MOST_TOKENS = 128
CONTEXT_SHARE = 0.5
"""The conversation may take at most this share of what the model can hold."""
_QUOTES = "\"'“”‘’「」`*"


class Condenser:
    """Asks the model, deterministically."""

    def __init__(self, model: ChatModel, template: PromptTemplate) -> None:
        self._model = model
        self._template = template

    async def condense(self, query: str, turns: Sequence[Turn]) -> str:
        """The question on its own. Raises what the model raises, and `TransientError` when it says nothing useful."""
        wording = self._template.wording(dominant_script(query))
        conversation = "\n".join(await self._latest(turns))
        messages = (
            ChatMessage(role=Role.SYSTEM, content=wording.condense_system),
            ChatMessage(
                role=Role.USER,
                content=fill(wording.condense_question, conversation=conversation, question=without_marks(query)),
            ),
        )
        said = ""
        sampling = Sampling(max_tokens=MOST_TOKENS, temperature=0.0)
        async with aclosing(self._model.reply(messages, sampling)) as reply:
            async for item in reply:
                if isinstance(item, ReplyText):
                    said += item.text
        if repeats(said, wording.condense_system, public=messages[-1].content):
            raise TransientError(f"{self._model.name} repeated what it was told instead of rewriting the question")
        standalone = without_invisible(said).strip().partition("\n")[0].strip().strip(_QUOTES).strip()
        if not standalone:
            raise TransientError(f"{self._model.name} did not rewrite the question")
        return standalone[:MAX_QUERY_CHARACTERS]

    async def _latest(self, turns: Sequence[Turn]) -> list[str]:
        lines = [f"{turn.role}: {without_marks(turn.content)}" for turn in turns]
        sizes = await self._model.count_tokens(lines)
        room = int(CONTEXT_SHARE * self._model.context_tokens)
        kept: list[str] = []
        for line, size in zip(reversed(lines), reversed(sizes), strict=True):
            room -= size
            if room < 0:
                break
            kept.insert(0, line)
        return kept
