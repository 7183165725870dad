"""Measures deliveries and carries the trace on to what the handler publishes."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.trace import SpanKind, Status, StatusCode

from messaging.delivery import Incoming, Outcome
from messaging.middlewares.base import Next
from observability.telemetry import Telemetry

TRACE_HEADER = "traceparent"
_FAILED = frozenset({Outcome.RETRIED, Outcome.DEAD_LETTERED})


class Tracing:
    """One span and one measurement per delivery; attributes are the consumer and the outcome, never an id.

    With telemetry off it only passes the trace context of the message on.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._enabled = telemetry.enabled
        self._tracer = telemetry.tracer
        self._duration = telemetry.meter.create_histogram(
            "waggle.delivery.duration", unit="s", description="From taking a message over to settling it."
        )

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        if TRACE_HEADER not in incoming.delivery.headers:
            await self._run(incoming, call_next)
            return
        token = context.attach(propagate.extract(dict(incoming.delivery.headers)))
        try:
            await self._run(incoming, call_next)
        finally:
            context.detach(token)

    async def _run(self, incoming: Incoming[Any], call_next: Next) -> None:
        if self._enabled:
            await self._measured(incoming, call_next)
        else:
            await call_next(incoming)

    async def _measured(self, incoming: Incoming[Any], call_next: Next) -> None:
        consumer = incoming.consumer.durable
        attributes = {"messaging.system": "nats", "messaging.consumer.group.name": consumer}
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"process {consumer}", kind=SpanKind.CONSUMER, attributes=attributes
        ) as span:
            try:
                await call_next(incoming)
            finally:
                _conclude(span, incoming.outcome)
                measured = {**attributes, "waggle.outcome": incoming.outcome.value}
                self._duration.record(time.perf_counter() - started, measured)


def _conclude(span: trace.Span, outcome: Outcome) -> None:
    span.set_attribute("waggle.outcome", outcome.value)
    if outcome in _FAILED:
        span.set_status(Status(StatusCode.ERROR))
