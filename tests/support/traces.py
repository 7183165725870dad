"""Spans of everything that runs in a test, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.telemetry import SCOPE, Telemetry


class Traces:
    """A telemetry that records all, and what it has recorded."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self._reader = InMemoryMetricReader()
        tracers = TracerProvider(shutdown_on_exit=False)
        tracers.add_span_processor(SimpleSpanProcessor(self._exporter))
        meters = MeterProvider([self._reader], shutdown_on_exit=False)
        self.telemetry = Telemetry(
            tracer=tracers.get_tracer(SCOPE), meter=meters.get_meter(SCOPE), enabled=True, tracing=True
        )

    def used_by_workers(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("messaging.running.process_telemetry", lambda *_, **__: self.telemetry)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        """All that have ended."""
        return self._exporter.get_finished_spans()

    def named(self, name: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name == name]

    def of_trace(self, trace_id: str) -> list[ReadableSpan]:
        return [span for span in self.spans if trace_of(span) == trace_id]

    @property
    def told(self) -> str:
        """All attributes, events and metrics in one text."""
        spans = [
            (span.name, dict(span.attributes or {}), [dict(e.attributes or {}) for e in span.events])
            for span in self.spans
        ]
        return f"{spans} {self._reader.get_metrics_data()}"


def trace_of(span: ReadableSpan) -> str:
    """The trace id of a span, as W3C Trace Context spells it."""
    assert span.context is not None
    return format(span.context.trace_id, "032x")


def parent_of(span: ReadableSpan, spans: Sequence[ReadableSpan]) -> ReadableSpan | None:
    """The span that another one is a part of, if it is among `spans`."""
    parent = span.parent
    return next((each for each in spans if parent and each.context and each.context.span_id == parent.span_id), None)
