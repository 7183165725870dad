"""Answer events as HTTP shows them: as one JSON document, as a problem, or as server-sent events."""

from __future__ import annotations

from typing import Any

from contracts.answers import Cancelled, Completed, Delta, Failed, Retrieved
from contracts.errors import ErrorCode
from gateway import sse
from gateway.asking import AnyEvent
from gateway.problems import Problem, ProblemCode
from gateway.query_schemas import (
    Answer,
    CancelledView,
    CitationView,
    CompletedView,
    DeltaView,
    FailedView,
    KeptAnswer,
    Passage,
    RetrievedView,
)

END_ID = "end"
"""The resume id of a terminal: there is nothing after it."""


def encode(event: AnyEvent) -> bytes:
    """An answer event as a server-sent event; its `id` is what `Last-Event-ID` resumes after."""
    if isinstance(event, Retrieved):
        return sse.encode("retrieved", _retrieved(event).model_dump_json(), event_id=event.id)
    if isinstance(event, Delta):
        view = DeltaView(query_id=event.query_id, attempt=int(event.id.partition(".")[0]), text=event.text)
        return sse.encode("delta", view.model_dump_json(), event_id=event.id)
    return sse.encode(event.kind, _terminal(event).model_dump_json(), event_id=END_ID)


def whole(completed: Completed, retrieved: Retrieved | None, *, total_ms: float) -> Answer:
    """The answer in one piece. `timings_ms.gateway` is the time from the request's arrival to here."""
    timings_ms = {**completed.timings_ms, "gateway": round(total_ms, 3)}
    return Answer.model_construct(
        **_ended_well(completed, timings_ms=timings_ms),
        searched_for=retrieved.searched_for if retrieved else None,
        passages=[Passage.of(passage) for passage in retrieved.passages] if retrieved else [],
    )


def kept(ended: Completed | Failed | Cancelled, retrieved: Retrieved | None) -> KeptAnswer | FailedView | CancelledView:
    """What came of a question that ended before; its passages are None when they are not kept any more."""
    if not isinstance(ended, Completed):
        return _ended_otherwise(ended)
    return KeptAnswer.model_construct(
        **_ended_well(ended, timings_ms=ended.timings_ms),
        searched_for=retrieved.searched_for if retrieved else None,
        passages=[Passage.of(passage) for passage in retrieved.passages] if retrieved else None,
    )


def problem_of(ended: Failed | Cancelled) -> Problem:
    """Why there is no answer: 504 after the deadline, 503 when asking again may help, 500 when not, 409 if withdrawn."""
    extensions = {"query_id": ended.query_id}
    if isinstance(ended, Cancelled):
        detail = "The query was cancelled before it was answered."
        return Problem(409, ProblemCode.QUERY_CANCELLED, detail, extensions=extensions)
    status = _status(ended)
    headers = {"Retry-After": "1"} if status == 503 else {}
    return Problem(
        status, ended.code, ended.message, headers=headers, extensions={**extensions, "retryable": ended.retryable}
    )


def _status(failed: Failed) -> int:
    if failed.code == ErrorCode.DEADLINE_EXCEEDED:
        return 504
    return 503 if failed.retryable else 500


def _retrieved(event: Retrieved) -> RetrievedView:
    return RetrievedView.model_construct(
        query_id=event.query_id,
        searched_for=event.searched_for,
        passages=[Passage.of(passage) for passage in event.passages],
        timings_ms=event.timings_ms,
    )


def _terminal(event: Completed | Failed | Cancelled) -> CompletedView | FailedView | CancelledView:
    if isinstance(event, Completed):
        return CompletedView.model_construct(**_ended_well(event, timings_ms=event.timings_ms))
    return _ended_otherwise(event)


def _ended_otherwise(event: Failed | Cancelled) -> FailedView | CancelledView:
    if isinstance(event, Cancelled):
        return CancelledView(query_id=event.query_id)
    return FailedView(query_id=event.query_id, code=event.code, message=event.message, retryable=event.retryable)


def _ended_well(completed: Completed, *, timings_ms: dict[str, float]) -> dict[str, Any]:
    return {
        "query_id": completed.query_id,
        "status": "completed",
        "answer": completed.answer,
        "answered": completed.answered,
        "citations": [CitationView.of(citation) for citation in completed.citations],
        "model": completed.model,
        "prompt_version": completed.prompt_version,
        "finish_reason": completed.finish_reason,
        "cached": completed.cached,
        "usage": completed.usage,
        "timings_ms": timings_ms,
    }
