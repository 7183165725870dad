"""Spans and figures of what is published to streams, by the semantic conventions for messaging."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.trace import SpanKind

from contracts import topology
from messaging.errors import SubjectTakenError
from observability.stages import mark_failed
from observability.telemetry import Telemetry

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


_FACTS = frozenset({topology.EVENTS.name, topology.ANSWERS.name})
"""What somebody may read, but nobody works on: measuring these, too, would double what a question pays for telemetry."""


class Publications:
    """Of what is published to be worked on, and of terminals.

    Attributes are the stream and the class of an error, never a subject: those hold ids.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._enabled = telemetry.enabled
        self._tracer = telemetry.tracer
        self._duration = telemetry.meter.create_histogram(
            "messaging.client.operation.duration",
            unit="s",
            description="From publishing a message to the broker's acknowledgement.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
        )

    @contextmanager
    def to(self, stream: str) -> Iterator[None]:
        """Measure the body, which publishes one message: what it adds to the headers is this span."""
        if not self._enabled or stream in _FACTS:
            yield
            return
        measured = {
            "messaging.system": "nats",
            "messaging.destination.name": stream,
            "messaging.operation.name": "publish",
        }
        failed: dict[str, str] = {}
        started = time.perf_counter()
        with self._tracer.start_as_current_span(
            f"publish {stream}",
            kind=SpanKind.PRODUCER,
            attributes={**measured, "messaging.operation.type": "send"},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            try:
                yield
            except SubjectTakenError:  # somebody else was first, which is what the stream is for
                raise
            except Exception as error:
                failed = {"error.type": type(error).__name__}
                mark_failed(span, type(error).__name__)
                raise
            finally:
                self._duration.record(time.perf_counter() - started, measured | failed)
