"""Workers that go on working while their configuration changes, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from contracts.answers import Completed, Retrieved
from contracts.generator_settings import GeneratorKind
from contracts.health import FACT_CONFIG_REVISION, FACT_PARAMETERS
from contracts.model_settings import RerankerKind
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import GenerateSettings, RetrieveSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.configuration import ConfigBook
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, generate_request, texts
from tests.broker.test_generate_worker import answered, is_done
from tests.broker.test_known_answers import House, Model, house
from tests.support.chat_servers import MODEL, chat_servers
from tests.support.indexes import opened_index
from tests.support.model_servers import ModelServer, reranking
from tests.support.outages import crash
from tests.support.waiting import until
from tests.support.workers import running
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.worker import build as build_generate
from workers.retrieve.worker import build as build_retrieve

__all__ = ["house"]

WHO: dict[str, Any] = {"principal": "ada", "because": "to see"}


@pytest.fixture
def book(broker: Broker) -> ConfigBook:
    return ConfigBook(broker)


@pytest.fixture
async def view(broker: Broker) -> AsyncIterator[FleetView]:
    """With heartbeats as rare as in real life: what a worker applies it has to tell at once."""
    view = FleetView(broker)
    await view.start()
    yield view
    await view.stop()


async def works_by(view: FleetView, revision: int, *, service: str = "generate") -> dict[str, str]:
    """Wait until a service says that it works by a revision; what else it says of itself."""

    def said() -> list[dict[str, str]]:
        told = [member.heartbeat for member in view.members() if member.heartbeat.service == service]
        return [each.facts for each in told if each.facts.get(FACT_CONFIG_REVISION) == str(revision)]

    await until(said)
    return said()[0]


async def asked_all_along(broker: Broker, stop: asyncio.Event) -> list[Completed]:
    """Ask one question after the other, four at a time, until it is enough; every one has to be answered."""

    async def asking() -> list[Completed]:
        ends = []
        while not stop.is_set():
            *_, end = await answered(broker, generate_request(broker))
            assert isinstance(end, Completed)
            ends.append(end)
        return ends

    return [end for ends in await asyncio.gather(*(asking() for _ in range(4))) for end in ends]


@pytest.fixture
def app(nats_server: NatsServer, tmp_path: Path, table: Topology) -> WorkerApp:
    return build_generate(GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path), table=table)


async def test_changes_are_applied_while_questions_are_answered_and_none_is_lost(
    app: WorkerApp, broker: Broker, book: ConfigBook, view: FleetView
) -> None:
    stop = asyncio.Event()
    async with running(app):
        asking = asyncio.create_task(asked_all_along(broker, stop))
        assert (await works_by(view, 0))[FACT_PARAMETERS] == "sentences 3"
        for number in range(1, 11):
            await book.change({"answer_sentences": 1 + number % 2}, **WHO)
            facts = await works_by(view, number)
            assert facts[FACT_PARAMETERS] == f"sentences {1 + number % 2}"
        await book.roll_back(0, **WHO)
        assert (await works_by(view, 11))[FACT_PARAMETERS] == "sentences 3"
        stop.set()
        ends = await asking
        await until(lambda: is_done(broker))

    assert len(ends) > 10
    assert all(end.answered for end in ends)
    assert await Storage(broker).count("DLQ", "rag.dlq.>") == 0
    assert await Storage(broker).count("TERMINALS", "rag.terminal.>") == len(ends)


async def test_changes_are_applied_after_the_broker_was_restarted(
    app: WorkerApp, broker: Broker, book: ConfigBook, view: FleetView, nats_server: NatsServer
) -> None:
    async with running(app):
        await book.change({"answer_sentences": 2}, **WHO)
        await works_by(view, 1)
        await crash(nats_server, broker, app.broker)
        await book.change({"answer_sentences": 1}, **WHO)
        assert (await works_by(view, 2))[FACT_PARAMETERS] == "sentences 1"
        *_, end = await answered(broker, generate_request(broker))
        assert isinstance(end, Completed)
        assert len(end.citations) == 1


async def test_a_worker_that_starts_later_works_by_it_from_its_first_message_on(
    app: WorkerApp, broker: Broker, book: ConfigBook
) -> None:
    await book.change({"answer_sentences": 1}, **WHO)
    async with running(app):
        *_, end = await answered(broker, generate_request(broker))
    assert isinstance(end, Completed)
    assert len(end.citations) == 1


async def test_standby_endpoints_are_asked_first_while_that_is_set(
    nats_server: NatsServer, broker: Broker, book: ConfigBook, view: FleetView, table: Topology, tmp_path: Path
) -> None:
    async with chat_servers(2) as (primary, standby):
        settings = GenerateSettings(
            nats_url=nats_server.url,
            data_dir=tmp_path,
            generator=GeneratorKind.OPENAI,
            generator_endpoints=f"{primary.url}, {standby.url};standby",
            generator_model=MODEL,
        )
        async with running(build_generate(settings, table=table)):
            await answered(broker, generate_request(broker))
            assert (len(primary.chats), len(standby.chats)) == (1, 0)

            await book.change({"active_endpoints": "standby", "generator_temperature": 0.5}, **WHO)
            await works_by(view, 1)
            await answered(broker, generate_request(broker))
            assert (len(primary.chats), len(standby.chats)) == (1, 1)
            assert standby.chats[0].body["temperature"] == 0.5

            await book.roll_back(**WHO)
            await works_by(view, 2)
            await answered(broker, generate_request(broker))
            assert (len(primary.chats), len(standby.chats)) == (2, 1)


async def test_an_answer_is_given_again_only_by_the_settings_that_it_was_made_by(
    house: House, book: ConfigBook, view: FleetView
) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    await house.retrieve()
    await house.generate(model)
    await house.kept()
    count = model.count

    await book.change({"generator_temperature": 0.7}, **WHO)
    await works_by(view, 1)
    assert not (await house.answer()).cached
    assert model.count == count + 1
    await house.kept()
    await book.roll_back(**WHO)
    await works_by(view, 2)
    assert (await house.answer()).cached


async def test_an_answer_under_way_while_settings_change_is_not_kept(
    house: House, broker: Broker, book: ConfigBook, view: FleetView
) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    await house.retrieve()
    await house.generate(model)
    model.go_on.clear()
    asking = asyncio.create_task(house.answer())
    await until(lambda: model.count == 1)
    await book.change({"generator_temperature": 0.7}, **WHO)
    await works_by(view, 1)
    model.go_on.set()
    await asking

    assert not (await house.answer()).cached
    assert model.count == 2


async def test_answers_are_made_anew_while_they_are_not_to_be_given_again(
    house: House, book: ConfigBook, view: FleetView
) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve()
    await house.generate(Model())
    await house.kept()
    await book.change({"answer_cache": False}, **WHO)
    await works_by(view, 1, service="retrieve")
    assert not (await house.answer()).cached
    await book.change({"answer_cache": None}, **WHO)
    await works_by(view, 2, service="retrieve")
    assert (await house.answer()).cached


async def test_reranking_ends_and_begins_between_two_searches(
    nats_server: NatsServer, broker: Broker, book: ConfigBook, view: FleetView, table: Topology, tmp_path: Path
) -> None:
    with ModelServer.running(reranking(lambda text: -len(text))) as server:
        settings = RetrieveSettings(
            nats_url=nats_server.url,
            index_path=tmp_path / "index",
            data_dir=tmp_path,
            reranker=RerankerKind.ENDPOINT,
            reranker_endpoints=server.url,
            reranker_timeout_s=5,
        )
        async with opened_index(settings) as index:
            shelf = Shelf(ledger=DocumentLedger(broker), index=index)
            for number, text in enumerate(TEXTS):
                await shelf.put(f"bees-{number}", text)
            async with running(build_retrieve(settings, embedder=SimulatedEmbedder, table=table)):
                assert texts(await found(broker))[0] == TEXTS[2]
                await book.change({"reranking": False}, **WHO)
                await works_by(view, 1, service="retrieve")
                plain = await found(broker)
                assert texts(plain)[0] == TEXTS[0]
                assert "rerank" not in plain.timings_ms

                await book.roll_back(0, **WHO)
                await works_by(view, 2, service="retrieve")
                assert texts(await found(broker))[0] == TEXTS[2]


async def found(broker: Broker) -> Retrieved:
    request = QueryRequest(tenant=TENANT, query=TEXTS[0], mode=SearchMode.VECTOR, generate=False)
    retrieved, *_ = await asked(broker, request)
    assert isinstance(retrieved, Retrieved)
    return retrieved
