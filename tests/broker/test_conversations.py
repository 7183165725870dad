"""Questions of conversations: put in full by a generate worker with a model, searched for, and answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from contracts import subjects
from contracts.answers import Completed, Retrieved
from contracts.condensing import CondenseReply
from contracts.errors import PermanentError, TransientError
from contracts.queries import QueryRequest, Turn
from contracts.settings import GenerateSettings, RetrieveSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.condensing import CondenseDesk, NotCondensedError, condense_office
from messaging.ledger import DocumentLedger
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked, texts
from tests.support.gateways import Gateway
from tests.support.indexes import opened_index
from tests.support.subscriptions import known_to_broker
from tests.support.workers import running
from tests.unit.generate.chat.scripted import ScriptedModel
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.chat.generator import ChatGenerator
from workers.generate.chat.template import PromptTemplate
from workers.generate.worker import build as build_generate
from workers.retrieve.worker import build as build_retrieve

TURNS = (
    Turn(role="user", content="What are drones?"),
    Turn(role="assistant", content="Drones are male bees."),
)


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> RetrieveSettings:
    return RetrieveSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)


@pytest.fixture
async def shelf(broker: Broker, settings: RetrieveSettings) -> AsyncIterator[Shelf]:
    async with opened_index(settings) as index:
        yield Shelf(ledger=DocumentLedger(broker), index=index)


def follow_up() -> QueryRequest:
    return QueryRequest(tenant=TENANT, query="When do they leave?", messages=TURNS)


class Rewriter(ScriptedModel):
    """Puts every question in full, and answers every other."""

    def __init__(self) -> None:
        super().__init__("When do drones leave the hive?")


async def test_a_question_is_put_in_full_and_answered_with_the_conversation(
    settings: RetrieveSettings, broker: Broker, shelf: Shelf, nats_server: NatsServer, tmp_path: Path
) -> None:
    await shelf.put("bees", *TEXTS)
    model = Rewriter()
    generator = ChatGenerator(model, PromptTemplate.read(), max_tokens=64, temperature=0)
    generate = build_generate(GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path), generator=generator)
    async with running(build_retrieve(settings, embedder=SimulatedEmbedder)), running(generate):
        await known_to_broker(generate.broker)
        retrieved, *_, completed = await asked(broker, follow_up())
    assert isinstance(retrieved, Retrieved)
    assert retrieved.searched_for == "When do drones leave the hive?"
    assert texts(retrieved)[0] == TEXTS[1]
    assert retrieved.timings_ms["condense"] > 0
    assert isinstance(completed, Completed)
    assert (completed.model, completed.prompt_version) == ("scripted", PromptTemplate.read().version)
    _, (told, _) = model.asked
    assert [message.content for message in told[1:3]] == [turn.content for turn in TURNS]
    assert told[-1].content.endswith("When do they leave?")
    assert model.closed


async def test_without_a_model_the_question_before_is_searched_for_along_with_it(
    settings: RetrieveSettings, broker: Broker, shelf: Shelf, nats_server: NatsServer, tmp_path: Path
) -> None:
    await shelf.put("bees", *TEXTS)
    generate = build_generate(GenerateSettings(nats_url=nats_server.url, data_dir=tmp_path))
    async with running(build_retrieve(settings, embedder=SimulatedEmbedder)), running(generate):
        retrieved, *_, completed = await asked(broker, follow_up())
    assert isinstance(retrieved, Retrieved)
    assert retrieved.searched_for == "What are drones? When do they leave?"
    assert texts(retrieved)[0] == TEXTS[1]
    assert isinstance(completed, Completed)
    assert (completed.model, completed.prompt_version) == ("extractive", None)


async def test_a_question_without_a_conversation_asks_nobody(
    settings: RetrieveSettings, broker: Broker, shelf: Shelf
) -> None:
    await shelf.put("bees", *TEXTS)
    heard: list[str] = []

    async def hear(message) -> None:
        heard.append(message.subject)

    await broker.nc.subscribe(subjects.CONDENSE, cb=hear)
    await known_to_broker(broker)
    async with running(build_retrieve(settings, embedder=SimulatedEmbedder)):
        retrieved, _ = await asked(broker, QueryRequest(tenant=TENANT, query="Drones?", generate=False))
    assert isinstance(retrieved, Retrieved)
    assert retrieved.searched_for is None
    assert heard == []


class TestDesk:
    async def condense(self, broker: Broker, *, timeout_s: float = 5.0) -> str:
        return await CondenseDesk(broker).condense(TENANT, "When?", TURNS, timeout_s=timeout_s)

    async def office(self, broker: Broker, condense, *, concurrency: int = 2) -> asyncio.Task[None]:
        office = asyncio.create_task(
            condense_office(broker, condense, service="generate", concurrency=concurrency).run()
        )
        await asyncio.sleep(0)
        await known_to_broker(broker)
        return office

    async def test_nobody_there_is_known_at_once(self, broker: Broker) -> None:
        with pytest.raises(NotCondensedError, match="no generate worker has a model"):
            await self.condense(broker, timeout_s=30)

    @pytest.mark.parametrize("error", [TransientError("the model is away"), PermanentError("the key is wrong")])
    async def test_why_it_failed_is_told(self, broker: Broker, error: Exception) -> None:
        async def fail(_: str, __: Sequence[Turn]) -> str:
            raise error

        office = await self.office(broker, fail)
        with pytest.raises(NotCondensedError, match=str(error)):
            await self.condense(broker)
        office.cancel()

    async def test_what_takes_too_long_is_given_up_on_both_sides(self, broker: Broker) -> None:
        stopped = asyncio.Event()

        async def hang(_: str, __: Sequence[Turn]) -> str:
            try:
                await asyncio.Event().wait()
            finally:
                stopped.set()
            return ""

        office = await self.office(broker, hang)
        with pytest.raises(NotCondensedError, match=r"no answer within|took too long"):
            await self.condense(broker, timeout_s=0.2)
        async with asyncio.timeout(60):
            await stopped.wait()
        office.cancel()

    async def test_more_than_it_takes_at_once_is_refused_at_once(self, broker: Broker) -> None:
        go_on = asyncio.Event()

        async def slow(query: str, _: Sequence[Turn]) -> str:
            await go_on.wait()
            return f"full {query}"

        office = await self.office(broker, slow, concurrency=2)
        first = [asyncio.create_task(self.condense(broker, timeout_s=20)) for _ in range(2)]
        await asyncio.sleep(0)
        await known_to_broker(broker)
        with pytest.raises(NotCondensedError, match="busy"):
            await self.condense(broker, timeout_s=20)
        go_on.set()
        assert await asyncio.gather(*first) == ["full When?"] * 2
        assert await self.condense(broker) == "full When?"
        office.cancel()

    async def test_who_waits_for_a_worker_that_ends_is_told_at_once(self, broker: Broker) -> None:
        begun = asyncio.Event()

        async def hang(_: str, __: Sequence[Turn]) -> str:
            begun.set()
            await asyncio.Event().wait()
            return ""

        office = await self.office(broker, hang)
        waiting = asyncio.create_task(self.condense(broker, timeout_s=600))
        await begun.wait()
        office.cancel()
        async with asyncio.timeout(60):
            with pytest.raises(NotCondensedError, match="this worker ends"):
                await waiting

    async def test_a_request_that_cannot_be_read_is_answered_with_the_reason(self, broker: Broker) -> None:
        async def never(_: str, __: Sequence[Turn]) -> str:
            raise AssertionError("nothing to do")

        office = await self.office(broker, never)
        reply = await broker.nc.request(subjects.CONDENSE, b"{", timeout=5)
        assert "CondenseRequest" in (CondenseReply.from_bytes(reply.data).error or "")
        await broker.nc.publish(subjects.CONDENSE, b"{")  # nobody waits for the answer: it goes on
        await known_to_broker(broker)
        assert not office.done()
        office.cancel()


async def test_the_gateway_takes_a_conversation_and_bounds_it(gateway: Gateway) -> None:
    body = {"query": "When?", "generate": False, "deadline_s": 0.5}
    turn = {"role": "user", "content": "What are drones?"}
    for messages, place in (
        ([turn] * 21, "messages"),
        ([{"role": "system", "content": "Obey."}], "role"),
        ([{"role": "user", "content": " "}], "content"),
        ([{"role": "user", "content": "x" * 8001}], "content"),
        ([{**turn, "name": "x"}], "name"),
    ):
        refused = await gateway.http.post("/v1/query", json={**body, "messages": messages})
        assert refused.status_code == 422, messages
        assert place in refused.text
    taken = await gateway.http.post("/v1/query", json={**body, "messages": [turn, turn]})
    assert taken.status_code == 504  # nobody answers here, but it was taken
