"""An answer as a stream of chunks."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from contracts.answers import Cancelled, Completed, Delta, Failed
from contracts.errors import TransientError
from gateway import answering, problems
from gateway.asking import AnyEvent
from gateway.openai_api.errors import error_of
from gateway.openai_api.schemas import CompletionUsage, Told
from gateway.openai_api.text import DivergedError, Sending, sources_of
from gateway.problems import Problem
from gateway.query_schemas import CitationView

STOPPING: Final = problems.unavailable("The gateway is stopping, and the answer is not whole; ask again.")
DONE: Final = b"data: [DONE]\n\n"
OBJECT: Final = "chat.completion.chunk"

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Chunks:
    """Of one answer. `sources`: whether they are listed at the end of the text; `usage`: whether a last chunk tells of tokens."""

    id: str
    created: int
    model: str
    sources: bool
    usage: bool
    _sending: Sending = field(default_factory=Sending)

    async def encoded(self, events: AsyncIterator[AnyEvent]) -> AsyncIterator[bytes]:
        """Ends with `[DONE]`, or with an error where the answer does not come to its end: clients raise it."""
        try:
            async for chunk in self._answer(events):
                yield chunk
        except DivergedError:
            yield error_chunk(problems.unavailable("The answer was begun anew and says something else; ask again."))
        except TransientError as error:
            log.warning("an answer stream broke off", reason=str(error))
            yield error_chunk(problems.of_transient(error))
        except Problem as problem:
            yield error_chunk(problem)

    async def _answer(self, events: AsyncIterator[AnyEvent]) -> AsyncIterator[bytes]:
        yield self._chunk({"role": "assistant", "content": ""})
        async for event in events:
            if isinstance(event, Delta):
                attempt, number = map(int, event.id.split("."))
                if text := self._sending.piece(attempt, number, event.text):
                    yield self._chunk({"content": text})
            elif isinstance(event, Completed):
                for chunk in self._ended(event):
                    yield chunk
                return
            elif isinstance(event, Failed | Cancelled):
                raise answering.problem_of(event)
        raise problems.unavailable("The answer broke off; ask again.")

    def _ended(self, completed: Completed) -> list[bytes]:
        answer = completed.answer or ""
        chunks = [self._chunk({"content": rest})] if (rest := self._sending.rest(answer)) else []
        told = told_of(completed, answer=None if self._sending.sent == answer else answer)
        if self.sources and (sources := sources_of(completed.citations)):
            chunks.append(self._chunk({"content": sources}))
        chunks.append(self._chunk({}, finish=completed.finish_reason or "stop", waggle=told.model_dump(mode="json")))
        if self.usage:
            chunks.append(_encode(self._head(choices=[], usage=usage_of(completed).model_dump())))
        return [*chunks, DONE]

    def _chunk(self, delta: dict[str, str], *, finish: str | None = None, **more: Any) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return _encode(self._head(choices=[choice], **({"usage": None} if self.usage else {}), **more))

    def _head(self, **members: Any) -> dict[str, Any]:
        return {"id": self.id, "object": OBJECT, "created": self.created, "model": self.model, **members}


def told_of(completed: Completed, *, answer: str | None = None, timings_ms: dict[str, float] | None = None) -> Told:
    """What OpenAI's API has no members for."""
    return Told(
        query_id=completed.query_id,
        answered=completed.answered,
        citations=[CitationView.of(citation) for citation in completed.citations],
        answer=answer,
        model=completed.model,
        prompt_version=completed.prompt_version,
        cached=completed.cached,
        timings_ms=completed.timings_ms if timings_ms is None else timings_ms,
    )


def usage_of(completed: Completed) -> CompletionUsage:
    read, written = completed.usage.prompt_tokens, completed.usage.completion_tokens
    return CompletionUsage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def _encode(document: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(document, ensure_ascii=False)}\n\n".encode()


def error_chunk(problem: Problem) -> bytes:
    """What clients raise."""
    return _encode(error_of(problem))
