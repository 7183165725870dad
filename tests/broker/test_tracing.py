"""A trace goes on over the broker, and what is measured names no document, query or tenant."""

from __future__ import annotations

import pytest
from nats.js.api import RawStreamMsg
from opentelemetry import trace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts import subjects, topology
from contracts.documents import PurgeRequest
from contracts.errors import PermanentError
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from observability.telemetry import SCOPE, Telemetry
from tests.support.purges import CONSUMER, left, purge
from tests.support.waiting import until
from tests.support.workers import running

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


async def send_traced(broker: Broker, document_id: str) -> None:
    await broker.publish(
        subjects.embed_purge("acme"),
        purge(document_id, tenant="acme"),
        stream=topology.EMBED,
        message_id=document_id,
        headers={"traceparent": PARENT},
    )


def forwarding(worker: WorkerApp) -> None:
    """A handler that publishes something of its own."""

    @worker.consumes(CONSUMER, PurgeRequest)
    async def handle(request: PurgeRequest, delivery: Delivery) -> None:
        if request.document_id == "bad":
            raise PermanentError("never")
        await worker.broker.publish_bytes("rag.events.document.purged.acme", b"{}", stream="EVENTS")


async def event(broker: Broker) -> RawStreamMsg:
    return await broker.js.get_last_msg("EVENTS", "rag.events.document.purged.acme")


async def test_the_trace_is_passed_on_also_when_nothing_is_recorded(broker: Broker, worker: WorkerApp) -> None:
    forwarding(worker)
    async with running(worker):
        await send_traced(broker, "a")
        await until(lambda: _emptied(broker))
    headers = (await event(broker)).headers
    assert headers is not None
    assert headers["traceparent"] == PARENT
    assert "Nats-Msg-Id" not in headers


async def test_spans_and_metrics_carry_outcomes_and_no_ids(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans, reader = InMemorySpanExporter(), InMemoryMetricReader()
    tracers = TracerProvider(shutdown_on_exit=False)
    tracers.add_span_processor(SimpleSpanProcessor(spans))
    meters = MeterProvider([reader], shutdown_on_exit=False)
    telemetry = Telemetry(tracer=tracers.get_tracer(SCOPE), meter=meters.get_meter(SCOPE), enabled=True)
    monkeypatch.setattr("messaging.running.start_telemetry", lambda **_: telemetry)
    forwarding(worker)
    async with running(worker):
        await send_traced(broker, "a")
        await send_traced(broker, "bad")
        await until(lambda: _emptied(broker))
    finished = spans.get_finished_spans()
    assert [span.name for span in finished] == ["process purge", "process purge"]
    assert {format(span.context.trace_id, "032x") for span in finished if span.context} == {TRACE}
    assert {str((span.attributes or {})["waggle.outcome"]) for span in finished} == {"acked", "dead_lettered"}
    assert [span.status.status_code for span in finished].count(trace.StatusCode.ERROR) == 1
    told = str([dict(span.attributes or {}) for span in finished]) + str(reader.get_metrics_data())
    assert "acme" not in told
    assert "waggle.delivery.duration" in told
    meters.shutdown()
    headers = (await event(broker)).headers
    assert headers is not None
    assert headers["traceparent"].split("-")[1] == TRACE
    assert headers["traceparent"] != PARENT


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0
