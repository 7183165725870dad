"""Stages are spans of the work they belong to, tell no contents, and cost nothing outside of it."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from observability.stages import stage, together, with_tracer


@pytest.fixture
def spans() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(spans: InMemorySpanExporter) -> context.Context:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(spans))
    return with_tracer(provider.get_tracer("test"), context.Context())


def test_outside_of_traced_work_a_stage_is_nothing() -> None:
    with stage("search") as span:
        assert not span.is_recording()
        assert trace.get_current_span() is trace.INVALID_SPAN


def test_stages_nest(spans: InMemorySpanExporter, traced: context.Context) -> None:
    with stage("work", base=traced), stage("search", {"db.system.name": "lancedb"}):
        pass
    inner, outer = spans.get_finished_spans()
    assert (inner.name, outer.name) == ("search", "work")
    assert inner.parent is not None
    assert inner.parent == outer.context
    assert dict(inner.attributes or {}) == {"db.system.name": "lancedb"}
    assert context.get_current() == context.Context()


def test_of_an_error_only_the_class_is_told(spans: InMemorySpanExporter, traced: context.Context) -> None:
    with pytest.raises(ValueError, match="what was asked"), stage("work", base=traced):
        raise ValueError("what was asked")
    (span,) = spans.get_finished_spans()
    assert span.status.status_code is trace.StatusCode.ERROR
    assert dict(span.attributes or {}) == {"error.type": "ValueError"}
    assert span.status.description is None
    assert span.events == ()


async def test_a_stage_that_is_cancelled_has_not_failed(spans: InMemorySpanExporter, traced: context.Context) -> None:
    async def work() -> None:
        with stage("work", base=traced):
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    (span,) = spans.get_finished_spans()
    assert span.status.is_unset


async def test_tasks_and_threads_go_on_with_the_trace(spans: InMemorySpanExporter, traced: context.Context) -> None:
    def encode() -> None:
        with stage("encode"):
            pass

    with stage("work", base=traced):
        await asyncio.gather(asyncio.create_task(asyncio.to_thread(encode)), asyncio.to_thread(encode))
    finished = spans.get_finished_spans()
    assert len({span.context.trace_id for span in finished if span.context}) == 1
    assert [span.name for span in finished] == ["encode", "encode", "work"]


def test_work_for_several_is_a_trace_of_its_own_linked_to_each(
    spans: InMemorySpanExporter, traced: context.Context
) -> None:
    works = []
    for _ in range(3):
        with stage("one", base=traced):
            works.append(context.get_current())
    with together("all", works), stage("encode"):
        pass
    *ones, encode, whole = spans.get_finished_spans()
    assert whole.parent is None
    assert [link.context for link in whole.links] == [one.context for one in ones]
    assert encode.parent == whole.context
    assert (whole.attributes or {})["messaging.batch.message_count"] == 3


def test_work_for_several_that_nobody_traces_is_not_traced() -> None:
    with together("all", [context.Context(), context.Context()]) as span:
        assert not span.is_recording()
