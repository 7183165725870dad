"""A trace goes on over the broker, and what is measured names no document, query or tenant."""

from __future__ import annotations

import pytest
from nats.js.api import RawStreamMsg
from opentelemetry import trace

from contracts import subjects, topology
from contracts.documents import PurgeRequest
from contracts.errors import PermanentError
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.delivery import Delivery
from messaging.errors import PublishRefusedError
from tests.support.purges import CONSUMER, left, purge
from tests.support.traces import Traces, trace_of
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
    traces = Traces()
    traces.used_by_workers(monkeypatch)
    forwarding(worker)
    async with running(worker):
        await send_traced(broker, "a")
        await send_traced(broker, "bad")
        await until(lambda: _emptied(broker))
        await until(lambda: len(traces.named("process purge")) == 2)
    processed = traces.named("process purge")
    assert {str((span.attributes or {})["waggle.outcome"]) for span in processed} == {"acked", "dead_lettered"}
    assert [span.status.status_code for span in processed].count(trace.StatusCode.ERROR) == 1
    assert "acme" not in traces.told
    assert "messaging.process.duration" in traces.told
    assert "messaging.client.operation.duration" in traces.told


async def test_purges_are_traces_of_their_own_linked_to_what_asked_for_them(
    broker: Broker, worker: WorkerApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    traces = Traces()
    traces.used_by_workers(monkeypatch)
    forwarding(worker)
    async with running(worker):
        await send_traced(broker, "a")
        await until(lambda: traces.named("process purge"))
    (processed,) = traces.named("process purge")
    assert [format(link.context.trace_id, "032x") for link in processed.links] == [TRACE]
    assert trace_of(processed) != TRACE
    headers = (await event(broker)).headers
    assert headers is not None
    assert headers["traceparent"].split("-")[1] == trace_of(processed)


async def test_what_is_published_is_measured_by_stream_and_error(broker: Broker) -> None:
    traces = Traces()
    broker.measure(traces.telemetry)
    await send_traced(broker, "a")
    with pytest.raises(PublishRefusedError):
        await broker.publish_bytes(subjects.embed_purge("acme"), b"{}", stream="INGEST")
    refused = traces.named("publish INGEST")[0]
    assert dict(refused.attributes or {})["error.type"] == "PublishRefusedError"
    assert traces.named("publish EMBED")[0].status.is_unset
    assert "acme" not in traces.told


async def _emptied(broker: Broker) -> bool:
    return await left(broker) == 0
