"""A generator that asks a language model, and holds it to the passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from opentelemetry.metrics import Meter

from contracts.answers import Usage
from contracts.errors import ErrorCode, PermanentError
from contracts.queries import Turn
from contracts.runtime_config import EndpointClass, RuntimeConfig
from contracts.settings_source import variable
from observability.stages import stage
from workers.generate.base import Answer, AnsweringEndpoints, GeneratorIdentity, Piece, Prompt
from workers.generate.chat.citing import citations, supports
from workers.generate.chat.condensing import Condenser
from workers.generate.chat.markers import MarkerFilter
from workers.generate.chat.model import ChatModel, FinishReason, ReplyEnd, ReplyText, Sampling
from workers.generate.chat.prompting import Conversation, Prompting
from workers.generate.chat.refusal import RefusalGate
from workers.generate.chat.template import PromptTemplate
from workers.generate.language import no_answer
from workers.text.scripts import dominant_script


class ChatGenerator:
    """Shows a model the question with its passages, and readers what it says of them.

    Markers that name no passage are taken out. An answer that names none gets those of the passages that say what it
    says, at its end. Where the model says that there is no answer, or there are no passages, readers are told so in the
    language of the question. A reply that ended before it showed anything says nothing of the documents: `PermanentError`.
    """

    def __init__(self, model: ChatModel, template: PromptTemplate, *, max_tokens: int, temperature: float) -> None:
        self._model = model
        self._template = template
        self._prompting = Prompting(model, template)
        self._condenser = Condenser(model, template)
        self._built_with = self._defaults = _Defaults(max_tokens=max_tokens, temperature=temperature)

    @property
    def identity(self) -> GeneratorIdentity:
        return GeneratorIdentity(
            model=self._model.name,
            prompt_version=self._template.version,
            parameters=f"tokens {self._defaults.max_tokens}, temperature {self._defaults.temperature}",
        )

    @property
    def endpoints(self) -> AnsweringEndpoints | None:
        return self._model.endpoints

    def adjust(self, config: RuntimeConfig) -> None:
        given, built_with = config.generator_temperature, self._built_with
        self._defaults = _Defaults(
            max_tokens=config.generator_max_tokens or built_with.max_tokens,
            temperature=built_with.temperature if given is None else given,
        )
        if (endpoints := self.endpoints) is not None:
            endpoints.prefer(standbys=config.active_endpoints is EndpointClass.STANDBY)

    async def start(self, meter: Meter) -> None:
        await self._model.start(meter)

    async def run(self) -> None:
        await self._model.run()

    async def generate(self, prompt: Prompt) -> AsyncGenerator[Piece | Answer, None]:
        """Yields what the model says as it comes, then the answer."""
        if not prompt.passages:
            for item in _no_answer(prompt, Usage()):
                yield item
            return
        defaults = self._defaults  # they may be exchanged meanwhile
        with stage("prompt"):
            conversation = await self._prompting.conversation(prompt, max_tokens=defaults.max_tokens)
        speech = _Speech(conversation)
        sampling = _sampling(prompt, conversation, temperature=defaults.temperature)
        async with aclosing(self._model.reply(conversation.messages, sampling)) as reply:
            async for heard in reply:
                for piece in speech.hear(heard):
                    yield piece
        for piece in speech.finish():
            yield piece
        if not speech.text and not speech.refused:
            self._require_chance(speech.end.finish_reason, conversation.max_tokens)
        for item in [speech.answer()] if speech.text else _no_answer(prompt, speech.end.usage):
            yield item

    async def condense(self, query: str, turns: Sequence[Turn]) -> str | None:
        return await self._condenser.condense(query, turns)

    async def look(self) -> None:
        await self._model.look()

    async def close(self) -> None:
        await self._model.close()

    def _require_chance(self, ended: FinishReason, max_tokens: int) -> None:
        """Raises `PermanentError` for a reply of nothing that is not how the model wanted it."""
        if ended is FinishReason.LENGTH:
            reason = (
                f"{self._model.name} wrote nothing to be shown in {max_tokens} tokens: allow more max_tokens, or raise "
                f"{variable('generator_max_tokens')} (models that think first need thousands)"
            )
        elif ended is FinishReason.FILTERED:
            reason = f"the server of {self._model.name} filtered the whole reply: ask in other words"
        else:
            return
        raise PermanentError(reason, code=ErrorCode.GENERATION_FAILED)


@dataclass(frozen=True, kw_only=True)
class _Defaults:
    """What counts where a question asks for nothing else."""

    max_tokens: int
    temperature: float


def _sampling(prompt: Prompt, conversation: Conversation, *, temperature: float) -> Sampling:
    asked = prompt.parameters
    return Sampling(
        max_tokens=conversation.max_tokens,
        temperature=temperature if asked.temperature is None else asked.temperature,
        stop=asked.stop,
        seed=asked.seed,
    )


class _Speech:
    """What a model says in one reply, as readers get it."""

    def __init__(self, conversation: Conversation) -> None:
        self._passages = conversation.passages
        self._gate = RefusalGate()
        self._markers = MarkerFilter(len(conversation.passages))
        self.text = ""
        self.refused = False
        self.end = ReplyEnd(finish_reason=FinishReason.STOP, usage=Usage())

    def hear(self, item: ReplyText | ReplyEnd) -> list[Piece]:
        if isinstance(item, ReplyEnd):
            self.end = item
            return []
        return self._say(self._markers.feed(self._gate.feed(item.text)))

    def finish(self) -> list[Piece]:
        """What was held back, and the markers of an answer without any. Nothing when the model says that there is none."""
        self.refused = self._gate.refuses()
        if self.refused:
            return []
        cut = self.end.finish_reason is not FinishReason.STOP
        pieces = self._say(self._markers.feed(self._gate.finish()) + self._markers.finish(cut=cut))
        if not citations(self.text, self._passages):
            marks = "".join(f"[{number}]" for number in supports(self.text, self._passages))
            pieces += self._say(f" {marks}" if marks else "")
        return pieces

    def answer(self) -> Answer:
        return Answer(
            text=self.text,
            answered=True,
            citations=citations(self.text, self._passages),
            usage=self.end.usage,
            finish_reason=self.end.finish_reason.value,
            removed_markers=self._markers.removed,
        )

    def _say(self, text: str) -> list[Piece]:
        if not self.text:
            text = text.lstrip()
        self.text += text
        return [Piece(text=text)] if text else []


def _no_answer(prompt: Prompt, usage: Usage) -> list[Piece | Answer]:
    text = no_answer(dominant_script(prompt.query))
    return [Piece(text=text), Answer(text=text, answered=False, citations=(), usage=usage)]
