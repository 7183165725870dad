"""Puts a question, its passages and what was said before into as many tokens as a model takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contracts.errors import ErrorCode, PermanentError
from contracts.queries import RetrievedPassage, Turn
from workers.generate.base import Prompt
from workers.generate.chat.marks import without_marks
from workers.generate.chat.model import Capacity, ChatMessage, Role
from workers.generate.chat.template import PromptTemplate, Wording, fill
from workers.text.scripts import dominant_script

MESSAGE_TOKENS = 8
"""What a chat template of a model puts around each message, at most."""
REPLY_SHARE = 0.5
"""The reply may take at most this share of what the model can hold: there must be room for passages."""
HISTORY_SHARE = 0.25
"""What was said before may take at most this share of the room for the prompt."""
LEAST_PASSAGE_TOKENS = 32
"""A passage of which fewer tokens fit says nothing any more."""


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """What the model is told. `passages` are those that it sees: `[n]` is the n-th of them."""

    messages: tuple[ChatMessage, ...]
    passages: tuple[RetrievedPassage, ...]
    max_tokens: int


class Prompting:
    """Writes prompts. The same instructions always come first, so that engines can keep what they made of them.

    Whatever passages, the question and the conversation say is said as text: nobody ends a message but the prompt itself.
    """

    def __init__(self, model: Capacity, template: PromptTemplate) -> None:
        self._model = model
        self._template = template

    async def conversation(self, prompt: Prompt, *, max_tokens: int) -> Conversation:
        """The best passages that fit, best first, and the latest turns that fit.

        `max_tokens` is for a question that asks for no other number.

        Raises `PermanentError` when the model cannot even hold the question with a part of one passage.
        """
        wording = self._template.wording(dominant_script(prompt.query))
        query = without_marks(prompt.query)
        reply_tokens = self._reply_tokens(prompt.parameters.max_tokens or max_tokens)
        fixed = await self._tokens(wording.system, fill(wording.question, passages="", question=query))
        room = self._model.context_tokens - reply_tokens - fixed
        turns = await self._latest(_as_text(prompt.messages), int(HISTORY_SHARE * room))
        room -= await self._tokens(*(turn.content for turn in turns))
        shown, passages = await self._fitting(wording, prompt.passages, room)
        if prompt.passages and not passages:
            raise PermanentError(
                f"the question leaves no room for a passage in the {self._model.context_tokens} tokens of "
                f"{self._model.name}: ask a shorter one, or allow fewer max_tokens",
                code=ErrorCode.GENERATION_FAILED,
            )
        question = fill(wording.question, passages="\n".join(shown), question=query)
        return Conversation(
            messages=(
                ChatMessage(role=Role.SYSTEM, content=wording.system),
                *_taking_turns(
                    *(ChatMessage(role=Role(turn.role), content=turn.content) for turn in turns),
                    ChatMessage(role=Role.USER, content=question),
                ),
            ),
            passages=tuple(passages),
            max_tokens=reply_tokens,
        )

    def _reply_tokens(self, wanted: int) -> int:
        return max(1, min(wanted, int(REPLY_SHARE * self._model.context_tokens)))

    async def _latest(self, turns: Sequence[Turn], room: int) -> list[Turn]:
        sizes = await self._model.count_tokens([turn.content for turn in turns]) if turns else []
        kept: list[Turn] = []
        for turn, size in zip(reversed(turns), reversed(sizes), strict=True):
            room -= size + MESSAGE_TOKENS
            if room < 0:
                break
            kept.insert(0, turn)
        while kept and kept[0].role == "assistant":  # models expect the one who asks to begin
            del kept[0]
        return kept

    async def _fitting(
        self, wording: Wording, passages: Sequence[RetrievedPassage], room: int
    ) -> tuple[list[str], list[RetrievedPassage]]:
        """The passages that fit, as the model sees them and as they are; the first one is cut if it has to be."""
        texts = [_shown(wording, number, passage) for number, passage in enumerate(passages, start=1)]
        sizes = await self._model.count_tokens(texts) if texts else []
        shown: list[str] = []
        for text, size in zip(texts, sizes, strict=True):
            if size + 1 > room:  # the line break before the next one
                break
            shown.append(text)
            room -= size + 1
        if passages and not shown and (cut := await self._cut(wording, passages[0], sizes[0], room)):
            return [_shown(wording, 1, cut)], [cut]
        return shown, list(passages[: len(shown)])

    async def _cut(self, wording: Wording, passage: RetrievedPassage, size: int, room: int) -> RetrievedPassage | None:
        """The beginning of a passage that fits, or None if that is too little."""
        kept = len(passage.text)
        while room >= LEAST_PASSAGE_TOKENS and kept > 0:
            kept = int(kept * min(0.9, room / size))
            shorter = passage.model_copy(
                update={
                    "text": passage.text[:kept],
                    "end": passage.start + kept,
                    "sentences": tuple(s for s in passage.sentences if s.end <= kept),
                }
            )
            (size,) = await self._model.count_tokens([_shown(wording, 1, shorter)])
            if size + 1 <= room:
                return shorter
        return None

    async def _tokens(self, *texts: str) -> int:
        return sum(await self._model.count_tokens(texts)) + MESSAGE_TOKENS * len(texts) if texts else 0


def _shown(wording: Wording, number: int, passage: RetrievedPassage) -> str:
    """A passage as data: nothing in it can end it, or begin another."""
    return fill(
        wording.passage,
        number=str(number),
        name=without_marks(passage.name).replace('"', "'").replace("\n", " "),
        text=without_marks(passage.text),
    )


def _as_text(turns: Sequence[Turn]) -> list[Turn]:
    return [turn.model_copy(update={"content": without_marks(turn.content)}) for turn in turns]


def _taking_turns(*messages: ChatMessage) -> list[ChatMessage]:
    """What one side says twice is one message: many chat templates refuse anything but turns."""
    told: list[ChatMessage] = []
    for message in messages:
        if told and told[-1].role is message.role:
            told[-1] = replace(message, content=f"{told[-1].content}\n\n{message.content}")
        else:
            told.append(message)
    return told
