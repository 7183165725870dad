"""A language model behind OpenAI-compatible endpoints: vLLM, llama.cpp, Ollama or a cloud."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import structlog
from opentelemetry.metrics import Meter

from contracts.answers import Usage
from contracts.endpoint_reports import EndpointStats
from contracts.endpoints import parse_endpoints
from contracts.errors import ErrorCode, PermanentError, TransientError
from contracts.generator_settings import ChatEndpointSettings
from contracts.settings_source import ConfigurationError, variable
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.pool import EndpointPool, Streamed
from workers.endpoints.probing import ProbePauses
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.streaming import StreamPlan
from workers.generate.chat.model import ChatMessage, FinishReason, ReplyEnd, ReplyText, Role, Sampling
from workers.generate.chat.openai_chunks import FIELD_RULES, Chunk, request_body
from workers.generate.chat.openai_introductions import Introductions
from workers.generate.chat.openai_tokens import EndpointCounter, LibraryCounter, TokenCounts
from workers.generate.chat.stops import StopGate

ROUTE = "/chat/completions"
DEFAULT_CONTEXT_TOKENS = 4096
"""What a model is taken to hold whose endpoints do not say."""
_TRIAL = (ChatMessage(role=Role.USER, content="Hello"),)

log = structlog.get_logger(__name__)


class OpenAIChatModel:
    """A `ChatModel` that has its replies made by a pool of endpoints.

    A reply goes on to the next endpoint as long as its first token has not come; after that a stream that breaks raises
    `TransientError`.
    """

    def __init__(
        self,
        pool: EndpointPool,
        *,
        plan: StreamPlan[Chunk],
        tokens: TokenCounts,
        introductions: Introductions,
        context_tokens: int | None,
    ) -> None:
        self.pool = pool
        self._plan = plan
        self._tokens = tokens
        self._introductions = introductions
        self._context_tokens = context_tokens

    @property
    def name(self) -> str:
        return self.pool.purpose.model

    @property
    def endpoints(self) -> EndpointPool:
        return self.pool

    @property
    def context_tokens(self) -> int:
        return self._context_tokens or self._introductions.context_tokens or DEFAULT_CONTEXT_TOKENS

    def stats(self) -> tuple[EndpointStats, ...]:
        """Figures of each endpoint since the start."""
        return self.pool.stats()

    async def start(self, meter: Meter | None = None) -> None:
        """Look whether the endpoints serve the model, and tell what they do as metrics where there is a meter.

        An endpoint that is away is no error: it is waited for. Raises `PermanentError` when the key or the model is
        wrong at every endpoint.
        """
        if meter is not None:
            self.pool.measure(meter)
        await self.pool.start()
        try:
            await self._introductions.complete()
            await self._require_model()
        except BaseException:
            await self.close()
            raise

    async def run(self) -> None:
        """Ask endpoints that come into use what they serve, until cancelled. Raises what ends the pool's probes."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._introductions.run(), name="introductions of endpoints")
            tasks.create_task(self.pool.failed(), name="end of the probes")

    async def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return await self._tokens.of(texts)

    async def reply(
        self, messages: Sequence[ChatMessage], sampling: Sampling
    ) -> AsyncGenerator[ReplyText | ReplyEnd, None]:
        said: list[str] = []
        stops = StopGate(sampling.stop)
        ended, usage, endpoint = FinishReason.STOP, None, None
        async with aclosing(self._chunks(messages, sampling)) as chunks:
            async for streamed in chunks:
                chunk, endpoint = streamed.item, streamed.endpoint
                _require_not_broken_off(streamed)
                ended, usage = chunk.finish_reason or ended, chunk.counted or usage
                said.append(chunk.text)
                if text := stops.feed(chunk.text):
                    yield ReplyText(text=text)
                if stops.reached:
                    ended = FinishReason.STOP
                    break
        if text := stops.finish():
            yield ReplyText(text=text)
        usage = usage or await self._counted(messages, "".join(said))
        self._record(endpoint, usage)
        yield ReplyEnd(finish_reason=ended, usage=usage)

    async def look(self) -> None:
        """Succeeds if any endpoint answers a probe."""
        await self.pool.look()

    async def close(self) -> None:
        await self.pool.close()

    def _chunks(self, messages: Sequence[ChatMessage], sampling: Sampling) -> AsyncGenerator[Streamed[Chunk], None]:
        body = request_body(self.name, messages, sampling)
        return self.pool.stream(ROUTE, body, self._plan, rules=FIELD_RULES)

    async def _counted(self, messages: Sequence[ChatMessage], said: str) -> Usage:
        """For endpoints that tell no usage."""
        *asked, answered = await self.count_tokens([*(message.content for message in messages), said])
        return Usage(prompt_tokens=sum(asked), completion_tokens=answered)

    def _record(self, endpoint: Endpoint | None, usage: Usage) -> None:
        if endpoint is not None:
            self.pool.figures.tokens(endpoint, read=usage.prompt_tokens, written=usage.completion_tokens)

    async def _require_model(self) -> None:
        """Lists are not always complete, so a model that is on none of them is tried out."""
        known = self._introductions.known
        if not any(introduction.lists_model for introduction in known.values()):
            await self._try_out()
            return
        for endpoint, introduction in known.items():
            if introduction.served is not None and not introduction.lists_model:
                log.warning(
                    "endpoint does not list the model: its requests may go on to others",
                    endpoint=endpoint.url,
                    model=self.name,
                    served=introduction.served,
                )

    async def _try_out(self) -> None:
        try:
            async with aclosing(self.reply(_TRIAL, Sampling(max_tokens=1))) as reply:
                async for _ in reply:
                    pass
        except TransientError as error:
            log.warning("no endpoint of the model answers yet", reason=str(error))
        except PermanentError as error:
            served = {name for known in self._introductions.known.values() for name in known.served or ()}
            listed = f"; served are: {', '.join(sorted(served))}" if served else ""
            raise PermanentError(f"{error}{listed}", code=ErrorCode.GENERATION_FAILED) from error


def build_openai_model(settings: ChatEndpointSettings, *, pauses: ProbePauses | None = None) -> OpenAIChatModel:
    """The model that the settings describe; not started. Raises `ConfigurationError` for a setting that is missing.

    `pauses` between probes of endpoints that are out, where they are not to be the usual ones.
    """
    endpoints = _required(settings.generator_endpoints, "generator_endpoints", "http://127.0.0.1:8000/v1")
    pool = EndpointPool(
        parse_endpoints(endpoints, key_setting=variable("generator_api_key")),
        Purpose(
            variables=variable("generator"),
            operation="chat",
            route=ROUTE,
            model=_required(settings.generator_model, "generator_model", "Qwen/Qwen3-8B"),
            code=ErrorCode.GENERATION_FAILED,
        ),
        balance=settings.generator_balance,
        connect=_limit(settings.generator_connect_timeout_s, "generator_connect_timeout_s"),
        api_key=settings.generator_api_key,
        pauses=pauses,
    )
    introductions = Introductions(pool)
    file = settings.generator_tokenizer
    return OpenAIChatModel(
        pool,
        plan=StreamPlan(
            read=Chunk.model_validate_json,
            begins=lambda chunk: chunk.begins,
            ends=lambda chunk: chunk.ends,
            first=_limit(settings.generator_first_token_timeout_s, "generator_first_token_timeout_s"),
            gap=_limit(settings.generator_gap_timeout_s, "generator_gap_timeout_s"),
        ),
        tokens=TokenCounts(LibraryCounter.from_path(file) if file else EndpointCounter(introductions)),
        introductions=introductions,
        context_tokens=settings.generator_context_tokens,
    )


def _required(value: str | None, name: str, example: str) -> str:
    if value is None:
        raise ConfigurationError(
            f"{variable(name)} is not set: a model behind endpoints needs it. Example: {variable(name)}={example}"
        )
    return value


def _limit(seconds: float, name: str) -> TimeLimit:
    return TimeLimit(seconds=seconds, setting=variable(name))


def _require_not_broken_off(streamed: Streamed[Chunk]) -> None:
    if streamed.item.broken_off:
        raise TransientError(
            f"the answer was broken off: {streamed.endpoint.url} gave it up", code=ErrorCode.GENERATION_FAILED
        )
