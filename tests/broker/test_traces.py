"""One trace from a request to the end of its answer; documents are worked on in traces of their own that are linked."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import structlog
from nats.js.api import RawStreamMsg
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from contracts import subjects
from contracts.cache_settings import CacheBackend
from contracts.identifiers import DEFAULT_TENANT
from contracts.settings import EmbedSettings, GenerateSettings, IngestSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from observability.logging import configure_logging
from tests.support.gateways import Gateway, running_gateway
from tests.support.traces import Traces, parent_of, trace_of
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as build_embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.generating import Generating
from workers.generate.worker import build as build_generate
from workers.ingest.worker import build as build_ingest
from workers.retrieve.worker import build as build_retrieve

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = f"00-{TRACE}-b7ad6b7169203331-01"
TEXT = "The winter stores of a colony weigh twenty kilograms. " * 8
QUESTION = "How much do the winter stores of a colony weigh?"


@pytest.fixture
def traces(monkeypatch: pytest.MonkeyPatch) -> Traces:
    traces = Traces()
    traces.used_by_workers(monkeypatch)
    return traces


@pytest.fixture
def logged() -> Iterator[io.StringIO]:
    """What all processes log, as JSON."""
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    stream = io.StringIO()
    configure_logging(level="debug", format="json", stream=stream)
    yield stream
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)


@asynccontextmanager
async def everything(server: NatsServer, folder: Path, table: Topology, traces: Traces) -> AsyncIterator[Gateway]:
    """Gateway and workers, the encoder simulated."""
    common: dict[str, Any] = {"nats_url": server.url, "data_dir": folder}
    retrieve = RetrieveSettings(**common, cache=CacheBackend.OFF)
    async with (
        running(build_ingest(IngestSettings(**common), table=table)),
        running(build_embed(EmbedSettings(**common, cache=CacheBackend.OFF), embedder=SimulatedEmbedder, table=table)),
        running(build_retrieve(retrieve, embedder=SimulatedEmbedder, table=table)),
        running(build_generate(GenerateSettings(**common), table=table)),
        running_gateway(server.url, telemetry=traces.telemetry) as gateway,
    ):
        await gateway.ready()
        yield gateway


async def submitted(gateway: Gateway, document_id: str, *, text: str = TEXT, **headers: str) -> None:
    """Hand in a document and wait until it can be found."""
    body = {"name": f"{document_id}.txt", "text": text, "document_id": document_id}
    accepted = await gateway.http.post("/v1/documents", json=body, headers=headers)
    assert accepted.status_code == 202, accepted.text

    async def is_ready() -> bool:
        state = (await gateway.http.get(f"/v1/documents/{document_id}")).json()["state"]
        assert state != "failed"
        return bool(state == "ready")

    await until(is_ready, timeout_s=60)


async def asked(gateway: Gateway, **headers: str) -> dict[str, Any]:
    answer = await gateway.http.post("/v1/query", json={"query": QUESTION}, headers=headers)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def linked(*spans: ReadableSpan) -> set[int]:
    """The ids of the spans that spans are linked to."""
    return {link.context.span_id for span in spans for link in span.links}


def identities(*spans: ReadableSpan) -> set[int]:
    return {span.context.span_id for span in spans if span.context}


async def stored(broker: Broker, stream: str, subject: str) -> RawStreamMsg:
    return await broker.js.get_last_msg(stream, subject)


async def test_a_question_is_one_trace_from_the_request_to_its_end(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology, traces: Traces
) -> None:
    async with everything(nats_server, tmp_path, table, traces) as gateway:
        await submitted(gateway, "bees")
        answer = await asked(gateway, traceparent=CALLER)
        await until(lambda: traces.named("process generate-stable") and traces.named("process retrieve"))
        end = await stored(broker, "ANSWERS", subjects.answer_end(DEFAULT_TENANT, answer["query_id"]))
        passages = await stored(broker, "ANSWERS", subjects.answer(DEFAULT_TENANT, answer["query_id"]))
    spans = traces.of_trace(TRACE)
    names = {span.name for span in spans}
    assert names >= {
        "POST /v1/query",
        "publish QUERY",
        "process retrieve",
        "encode",
        "search",
        "visibility",
        "publish GENERATE",
        "process generate-stable",
        "chat extractive",
        "publish TERMINALS",
    }
    assert all(parent_of(span, spans) for span in spans if span.name != "POST /v1/query"), "no span is cut off"
    for message in (end, passages):
        assert message.headers is not None
        assert message.headers["traceparent"].split("-")[1] == TRACE
    (search,) = (span for span in spans if span.name == "search")
    assert dict(search.attributes or {}) == {
        "db.system.name": "lancedb", "db.operation.name": "search", "db.response.returned_rows": 1,
    }  # fmt: skip
    (chat,) = (span for span in spans if span.name == "chat extractive")
    attributes = dict(chat.attributes or {})
    assert attributes["gen_ai.provider.name"] == "extractive"
    assert attributes["gen_ai.usage.output_tokens"]
    assert attributes["gen_ai.response.time_to_first_chunk"]
    assert [event.name for event in chat.events] == ["first token"]
    assert {span.kind for span in spans if span.name.startswith("publish ")} == {SpanKind.PRODUCER}
    assert {span.kind for span in spans if span.name.startswith("process ")} == {SpanKind.CONSUMER}


async def test_contents_and_ids_are_told_nowhere(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology, traces: Traces
) -> None:
    async with everything(nats_server, tmp_path, table, traces) as gateway:
        await submitted(gateway, "secret-bees")
        answer = await asked(gateway)
        await until(lambda: traces.named("process generate-stable"))
    assert "gen_ai.client.token.usage" in traces.told
    for secret in ("winter", "kilograms", "secret-bees", answer["query_id"], answer["answer"]):
        assert secret not in traces.told


async def test_a_document_is_worked_on_in_traces_that_are_linked_to_what_caused_them(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology, traces: Traces
) -> None:
    words = " ".join(f"Colony {n} weighs {n} kilograms." for n in range(1200))
    async with everything(nats_server, tmp_path, table, traces) as gateway:
        await submitted(gateway, "bees", text=words, traceparent=CALLER)
        await until(lambda: traces.named("process ingest") and len(traces.named("process embed")) >= 2)
    upload, (ingest,), batches = traces.of_trace(TRACE), traces.named("process ingest"), traces.named("process embed")
    assert "POST /v1/documents" in {span.name for span in upload}
    assert trace_of(ingest) != TRACE
    (published,) = (span for span in upload if span.name == "publish INGEST")
    assert linked(ingest) == identities(published)
    sent = [span for span in traces.of_trace(trace_of(ingest)) if span.name == "publish EMBED"]
    assert len(sent) == len(batches) > 1
    assert {span.name for span in traces.of_trace(trace_of(ingest))} >= {"fetch", "extract"}
    assert linked(*batches) == identities(*sent)
    assert len({trace_of(batch) for batch in batches}) == len(batches), "no giant trace"
    together = traces.named("process together")
    assert linked(*together) == identities(*batches)
    assert all(span.parent is None for span in together)
    inside = {span.name for whole in together for span in traces.of_trace(trace_of(whole))}
    assert inside >= {"embeddings", "upsert"}
    ready = await stored(broker, "EVENTS", subjects.EVENTS + f".document.ready.{DEFAULT_TENANT}")
    assert ready.headers is not None
    assert ready.headers["traceparent"].split("-")[1] in {trace_of(whole) for whole in together}


async def test_a_request_is_named_on_every_line_about_it_in_every_process(
    broker: Broker,
    nats_server: NatsServer,
    tmp_path: Path,
    table: Topology,
    traces: Traces,
    logged: io.StringIO,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def speaks(self: Generating, request: Any, delivery: Any) -> None:
        structlog.get_logger("tested").info("at work", consumer=delivery.consumer)
        await original(self, request, delivery)

    original = Generating.generate
    monkeypatch.setattr(Generating, "generate", speaks)
    async with everything(nats_server, tmp_path, table, traces) as gateway:
        answer = await gateway.http.post(
            "/v1/query", json={"query": QUESTION}, headers={"X-Request-Id": "r-42", "traceparent": CALLER}
        )
        assert answer.headers["x-request-id"] == "r-42"
        unusable = await gateway.http.get("/health/live", headers={"X-Request-Id": "not an id"})
        other = await gateway.http.get("/health/live")
    assert len({unusable.headers["x-request-id"], other.headers["x-request-id"], "not an id"}) == 3
    lines = [json.loads(line) for line in logged.getvalue().splitlines()]
    (line,) = (line for line in lines if line["event"] == "at work")
    assert (line["request_id"], line["tenant"], line["trace_id"]) == ("r-42", DEFAULT_TENANT, TRACE)
    assert len(line["span_id"]) == 16
