"""A generator that asks a language model, and holds it to the passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import MappingProxyType

from opentelemetry.metrics import Meter

from contracts.answers import Usage
from contracts.errors import ErrorCode, PermanentError
from contracts.queries import Turn
from contracts.runtime_config import EndpointClass, RuntimeConfig
from contracts.settings_source import variable
from observability.stages import stage
from workers.generate.base import Answer, AnsweringEndpoints, GeneratorIdentity, Piece, Prompt, Removed
from workers.generate.chat.condensing import Condenser
from workers.generate.chat.model import ChatModel, FinishReason, Sampling
from workers.generate.chat.prompting import Conversation, Prompting
from workers.generate.chat.speech import Speech
from workers.generate.chat.template import PromptTemplate
from workers.generate.language import no_answer
from workers.text.scripts import dominant_script


class ChatGenerator:
    """Shows a model the question with its passages, and readers what it says of them.

    Markers that name no passage are taken out, and so are links that stand in none that is cited, HTML that does something,
    and what the model was told. An answer that names no passage gets those of the passages that say what it says, at its
    end. Where the model says that there is no answer, or there are no passages, readers are told so in the
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
        speech = Speech(conversation)
        sampling = _sampling(prompt, conversation, temperature=defaults.temperature)
        async with aclosing(self._model.reply(conversation.messages, sampling)) as reply:
            async for heard in reply:
                for piece in speech.hear(heard):
                    yield piece
        for piece in speech.finish():
            yield piece
        if not speech.text and not speech.refused and not speech.removed:
            self._require_chance(speech.end.finish_reason, conversation.max_tokens)
        for item in [speech.answer()] if speech.text else _no_answer(prompt, speech.end.usage, speech.removed):
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


def _no_answer(
    prompt: Prompt, usage: Usage, removed: Mapping[Removed, int] = MappingProxyType({})
) -> list[Piece | Answer]:
    text = no_answer(dominant_script(prompt.query))
    return [Piece(text=text), Answer(text=text, answered=False, citations=(), usage=usage, removed=removed)]
