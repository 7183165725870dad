"""`waggle endpoints` for encoders and rerankers: workers tell of them and leave alone those that people take out."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from contracts.answers import Completed, Retrieved
from contracts.endpoint_reports import EndpointOrder, EndpointState, ServedModelKind
from contracts.model_settings import EncoderKind, RerankerKind
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import EmbedSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.endpoints import EndpointDesk, EndpointSurvey
from messaging.ledger import DocumentLedger
from tests.broker.answering_stage import TENANT, asked
from tests.broker.embedding_stage import Stage
from tests.support.model_servers import Answered, Asked, ModelServer, embeddings, letters, reranking
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as build_embed
from workers.retrieve.worker import build as build_retrieve

ENCODER, RERANKER = ServedModelKind.ENCODER, ServedModelKind.RERANKER


def both(asked: Asked) -> Answered:
    """A server of embeddings that reranks, too."""
    answer = reranking(lambda text: -len(text)) if asked.path.endswith("/rerank") else embeddings(letters)
    return answer(asked)


@pytest.fixture(autouse=True)
def beating_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.1)


@pytest.fixture
def servers() -> Iterator[list[ModelServer]]:
    with ModelServer.running(both) as one, ModelServer.running(both) as two:
        yield [one, two]


@pytest.fixture
def embedding(nats_server: NatsServer, servers: list[ModelServer], tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        instance="embed-one",
        encoder=EncoderKind.OPENAI,
        encoder_model="letters",
        encoder_endpoints=",".join(f"{server.url}/v1" for server in servers),
    )


@pytest.fixture
def retrieving(embedding: EmbedSettings, servers: list[ModelServer]) -> RetrieveSettings:
    given = embedding.model_dump(include=set(RetrieveSettings.model_fields))
    return RetrieveSettings.model_validate(
        given
        | {
            "instance": "retrieve-one",
            "reranker": RerankerKind.ENDPOINT,
            "reranker_model": "lengths",
            "reranker_endpoints": ",".join(f"{server.url}/v1" for server in servers),
            "reranker_timeout_s": 20,
        }
    )


async def surveyed(desk: EndpointDesk, reports: int) -> EndpointSurvey:
    """Wait until so many models are told of, and nobody is silent."""
    found: list[EndpointSurvey] = []

    async def all_told() -> bool:
        found.append(await desk.survey())
        return len(found[-1].reports) == reports and not found[-1].silent

    await until(all_told, timeout_s=30)
    return found[-1]


async def test_both_models_of_a_worker_are_told_and_one_order_drains_both(
    retrieving: RetrieveSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ModelServer]
) -> None:
    drained, used = servers
    async with running(build_retrieve(retrieving, table=table)) as app:
        await known_to_broker(app.broker)
        survey = await surveyed(desk, 2)
        assert [(r.service, r.instance, r.kind, r.model, len(r.endpoints)) for r in survey.reports] == [
            ("retrieve", "retrieve-one", ENCODER, "letters", 2),
            ("retrieve", "retrieve-one", RERANKER, "lengths", 2),
        ]
        assert survey.workers(f"{drained.url}/v1") == 1

        survey = await desk.order(EndpointOrder(url=f"{drained.url}/v1", draining=True, principal="ada"))
        assert [stats.state for _, stats in survey.of(f"{drained.url}/v1")] == [EndpointState.DRAINING] * 2
        assert survey.is_drained(f"{drained.url}/v1")
        before, asked_before = len(drained.asked), len(used.asked)
        for number in range(4):
            request = QueryRequest(
                tenant=TENANT, query=f"How do {number} bees dance?", mode=SearchMode.VECTOR, generate=False
            )
            retrieved, completed = await asked(broker, request)
            assert isinstance(retrieved, Retrieved)
            assert isinstance(completed, Completed)
        assert (len(drained.asked), len(used.asked) > asked_before) == (before, True)

        survey = await desk.order(EndpointOrder(url=f"{drained.url}/v1", draining=False, principal="ada"))
        assert [stats.state for _, stats in survey.of(f"{drained.url}/v1")] == [EndpointState.HEALTHY] * 2


async def test_an_embed_worker_does_not_even_ask_a_drained_endpoint_for_its_dimension(
    embedding: EmbedSettings, table: Topology, broker: Broker, desk: EndpointDesk, servers: list[ModelServer]
) -> None:
    drained, used = servers
    await desk.orders.keep(EndpointOrder(url=f"{drained.url}/v1", draining=True, principal="ada"))
    stage = Stage(broker=broker, ledger=DocumentLedger(broker))
    async with running(build_embed(embedding, table=table)) as app:
        await known_to_broker(app.broker)
        (report,) = (await surveyed(desk, 1)).reports
        assert (report.service, report.kind) == ("embed", ENCODER)
        generation = await stage.ingest("d", "one", "two")
        await until(lambda: stage.is_visible("d", generation), timeout_s=30)
        assert drained.asked == []
        assert used.asked != []
