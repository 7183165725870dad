"""Measures deliveries and carries the trace on to what the handler publishes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import Link, SpanKind

from contracts import topology
from messaging.delivery import Incoming, Outcome
from messaging.middlewares.base import Next
from observability.stages import mark_failed, stage, with_tracer
from observability.telemetry import Telemetry

TRACE_HEADER = "traceparent"
_FAILED = frozenset({Outcome.RETRIED, Outcome.DEAD_LETTERED})
_WAITED_FOR = frozenset({topology.QUERY.name, topology.GENERATE.name})
_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


class Tracing:
    """One span and one measurement per delivery; attributes are stream, consumer and outcome, never an id.

    A question is one trace, from the request to its end. Documents are worked on long after they were handed in, in many
    batches: each piece of that is a trace of its own, linked to what caused it. With telemetry off, or traces not
    recorded, the trace context of the message is passed on as it is.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._enabled = telemetry.enabled
        self._records = telemetry.tracing
        self._tracer = telemetry.tracer
        self._duration = telemetry.meter.create_histogram(
            "messaging.process.duration",
            unit="s",
            description="From taking a message over to settling it.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
        )

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        caller = _caller(incoming)
        if self._enabled:
            await self._measured(incoming, call_next, caller)
        elif caller is None:
            await call_next(incoming)
        else:
            with _within(caller):
                await call_next(incoming)

    async def _measured(self, incoming: Incoming[Any], call_next: Next, caller: context.Context | None) -> None:
        consumer = incoming.consumer
        measured = {
            "messaging.system": "nats",
            "messaging.destination.name": consumer.stream.name,
            "messaging.consumer.group.name": consumer.durable,
            "messaging.operation.name": "process",
        }
        base, links = self._place(consumer, caller or context.Context())
        started = time.perf_counter()
        with stage(
            f"process {consumer.durable}",
            {**measured, "messaging.operation.type": "process"},
            kind=SpanKind.CONSUMER,
            links=links,
            base=with_tracer(self._tracer, base),
        ) as span:
            try:
                await call_next(incoming)
            finally:
                outcome = {"waggle.outcome": incoming.outcome.value, **_error(incoming.outcome)}
                _conclude(span, incoming.outcome)
                self._duration.record(time.perf_counter() - started, measured | outcome)

    def _place(self, consumer: topology.Consumer, caller: context.Context) -> tuple[context.Context, tuple[Link, ...]]:
        """The context of a delivery's span, and what it is linked to."""
        cause = trace.get_current_span(caller).get_span_context()
        if not self._records or consumer.stream.name in _WAITED_FOR:
            return caller, ()
        return context.Context(), (Link(cause),) if cause.is_valid else ()


@contextmanager
def _within(base: context.Context) -> Iterator[None]:
    token = context.attach(base)
    try:
        yield
    finally:
        context.detach(token)


def _caller(incoming: Incoming[Any]) -> context.Context | None:
    """The trace context that a message brings along."""
    headers = incoming.delivery.headers
    return propagate.extract(dict(headers), context.Context()) if TRACE_HEADER in headers else None


def _conclude(span: trace.Span, outcome: Outcome) -> None:
    span.set_attribute("waggle.outcome", outcome.value)
    if outcome in _FAILED:
        mark_failed(span, outcome.value)


def _error(outcome: Outcome) -> dict[str, str]:
    return {"error.type": outcome.value} if outcome in _FAILED else {}
