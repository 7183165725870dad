"""Answers that were given before, on a real broker with real workers and a real index."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.answers import Completed, Delta, Failed, Retrieved
from contracts.cache_settings import CacheBackend
from contracts.documents import PurgeRequest
from contracts.errors import TransientError
from contracts.queries import GenerationParameters, QueryRequest, Turn
from contracts.settings import EmbedSettings, GenerateSettings, RetrieveSettings
from deploy.local.nats_server import NatsServer
from messaging.answers import AnyEvent
from messaging.broker import Broker
from messaging.caching.factory import build_cache
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from messaging.queries import Queries
from messaging.storage import Storage
from tests.broker.answering_stage import TENANT, TEXTS, Shelf, asked
from tests.support.indexes import opened_index
from tests.support.subscriptions import known_to_broker
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.generate.chat.scripted import ScriptedModel
from workers.embed.worker import build as build_embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.chat.generator import ChatGenerator
from workers.generate.chat.model import FinishReason
from workers.generate.chat.template import PromptTemplate
from workers.generate.worker import build as build_generate
from workers.retrieve.worker import build as build_retrieve

QUESTION = "When do drones leave the hive?"


class Model(ScriptedModel):
    """Counts what it is asked; may be held up."""

    def __init__(self, name: str = "scripted", *pieces: str, finish: FinishReason = FinishReason.STOP) -> None:
        super().__init__(*(pieces or ("Drones leave in autumn [1].",)), finish_reason=finish)
        self.name = name
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.fails = False

    async def reply(self, messages, sampling):
        self.asked.append((tuple(messages), sampling))
        await self.go_on.wait()
        if self.fails:
            raise TransientError("it broke")
        async for item in super().reply(messages, sampling):
            yield item
        self.asked.pop()  # the one of the class above

    @property
    def count(self) -> int:
        return len(self.asked)


class House:
    """Retrieve and generate workers that may come and go."""

    def __init__(self, broker: Broker, settings: RetrieveSettings, shelf: Shelf, stack: AsyncExitStack) -> None:
        self.broker = broker
        self.settings = settings
        self.shelf = shelf
        self._stack = stack
        self._generates = ""

    async def retrieve(self, **changes: object) -> None:
        settings = self.settings.model_copy(update=changes)
        await self._stack.enter_async_context(running(build_retrieve(settings, embedder=SimulatedEmbedder)))
        if self._generates:  # the new one knows who answers when it has heard a heartbeat
            await self._heard(self._generates)

    @asynccontextmanager
    async def wing(self) -> AsyncIterator[House]:
        """Workers that go at the end of the block."""
        async with AsyncExitStack() as stack:
            wing = House(self.broker, self.settings, self.shelf, stack)
            wing._generates = self._generates
            yield wing

    async def generate(self, model: Model, *, instance: str = "generate-1") -> None:
        settings = GenerateSettings(nats_url=self.settings.nats_url, data_dir=self.settings.data_dir, instance=instance)
        generator = ChatGenerator(model, PromptTemplate.read(), max_tokens=64, temperature=0)
        app = build_generate(settings, generator=generator, table=brisk(max_deliver=2))
        await self._stack.enter_async_context(running(app))
        self._generates = model.name
        await self._heard(model.name)

    async def _heard(self, model: str) -> None:
        view = FleetView(self.broker, service="generate")
        await view.start()
        await until(lambda: any(m.heartbeat.facts.get("model") == model for m in view.members()))
        await view.stop()
        await known_to_broker(self.broker)

    async def ask(self, query: str = QUESTION, **options: object) -> list[AnyEvent]:
        return await asked(self.broker, request(query, **options))

    async def answer(self, query: str = QUESTION, **options: object) -> Completed:
        end = (await self.ask(query, **options))[-1]
        assert isinstance(end, Completed), end
        return end

    async def kept(self) -> Completed:
        """Ask until the answer comes from the cache: it is kept just after it was given."""
        end = await self.answer()

        async def cached() -> bool:
            nonlocal end
            end = await self.answer()
            return end.cached

        await until(cached)
        return end


def request(query: str = QUESTION, **options: object) -> QueryRequest:
    return QueryRequest.model_validate({"tenant": TENANT, "query": query, **options})


@pytest.fixture
async def house(broker: Broker, nats_server: NatsServer, tmp_path: Path) -> AsyncIterator[House]:
    settings = RetrieveSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path)
    async with AsyncExitStack() as stack:
        index = await stack.enter_async_context(opened_index(settings))
        yield House(broker, settings, Shelf(ledger=DocumentLedger(broker), index=index), stack)


async def test_a_question_that_was_answered_is_not_answered_anew(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    await house.retrieve()
    await house.generate(model)
    first = await house.answer()
    assert not first.cached
    again = await house.kept()
    count = model.count
    retrieved, *deltas, end = await house.ask("  when do DRONES leave\tthe hive? ")
    assert model.count == count
    assert isinstance(end, Completed)
    assert isinstance(retrieved, Retrieved)
    assert end.cached
    assert (end.answer, end.citations) == (first.answer, first.citations)
    assert (end.model, end.prompt_version, end.answered) == (first.model, first.prompt_version, True)
    assert [d.text for d in deltas if isinstance(d, Delta)] == [first.answer]
    assert retrieved.passages[0].text == TEXTS[1]
    assert "search" not in end.timings_ms
    assert again.usage.completion_tokens == 0  # nothing was spent
    unstreamed = await house.ask(stream=False)
    assert not any(isinstance(event, Delta) for event in unstreamed)


@pytest.mark.parametrize(
    "options",
    [
        {"cache": False},
        {"top_k": 1},
        {"mode": "keyword"},
        {"filters": {"document_ids": ["bees"]}},
        {"generation": GenerationParameters(temperature=0.9)},
        {"messages": [Turn(role="user", content="Drones?")]},
        {"tenant": "other"},
        {"query": "When do drones leave the nest?"},
    ],
)
async def test_whatever_an_answer_depends_on_makes_it_another_question(
    house: House, options: dict[str, object]
) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve()
    await house.generate(Model())
    await house.kept()
    end = (await asked(house.broker, QueryRequest.model_validate({"tenant": TENANT, "query": QUESTION, **options})))[-1]
    assert isinstance(end, Completed)
    assert not end.cached


async def test_a_search_and_an_answer_that_was_cut_are_not_kept(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model("scripted", "Drones leave in", finish=FinishReason.LENGTH)
    await house.retrieve()
    await house.generate(model)
    for _ in range(3):
        assert not (await house.answer()).cached
        assert not (await house.answer(generate=False)).cached
    assert model.count == 3


async def test_a_changed_document_ends_the_answers_that_it_changes(house: House) -> None:
    """Of what is found anew the answer is made anew; where the same is found, the answer stands, after a search."""
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    await house.retrieve()
    await house.generate(model)
    await house.kept()
    count = model.count
    await house.shelf.put("cars", "Cars need fuel.")  # of no concern: the same passages are found
    end = await house.answer(top_k=5)
    if end.cached:
        assert "search" in end.timings_ms
        assert model.count == count
    generation = await house.shelf.put("bees", "Drones leave the hive in October.", TEXTS[0])
    retrieved, *_, last = await house.ask()
    assert isinstance(last, Completed)
    assert isinstance(retrieved, Retrieved)
    assert not last.cached
    assert {p.generation for p in retrieved.passages if p.document_id == "bees"} == {generation}


async def test_a_new_document_ends_that_there_is_no_answer(house: House) -> None:
    await house.shelf.put("bees", TEXTS[0])
    model = Model("scripted", "NO_ANSWER")
    await house.retrieve()
    await house.generate(model)
    assert not (await house.kept()).answered
    count = model.count
    await house.shelf.put("drones", TEXTS[1])
    assert not (await house.answer()).cached
    assert model.count == count + 1


async def test_another_model_answers_anew(house: House, nats_server: NatsServer) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve(cache=CacheBackend.NATS)
    old, new = Model("old"), Model("new")
    async with house.wing() as wing:
        await wing.generate(old)
        assert (await house.kept()).model == "old"
    await house.generate(new)  # under the same name: what the old one told is replaced
    end = await house.answer()
    assert (end.cached, end.model) == (False, "new")


@pytest.mark.parametrize("backend", [CacheBackend.MEMORY, CacheBackend.NATS])
async def test_equal_questions_at_once_are_answered_once(house: House, backend: CacheBackend) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    model.go_on.clear()
    await house.retrieve(cache=backend)
    await house.generate(model)
    asking = [asyncio.create_task(house.answer()) for _ in range(4)]
    await until(lambda: model.count == 1)
    await asyncio.sleep(0.3)  # the others have been searched for meanwhile, and wait
    assert model.count == 1
    model.go_on.set()
    ends = await asyncio.gather(*asking)
    assert sorted(end.cached for end in ends) == [False, True, True, True]
    assert model.count == 1


async def test_an_answer_that_is_not_to_be_had_is_tried_for_by_the_next_one(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    model.go_on.clear()
    await house.retrieve()
    await house.generate(model)
    first = request()
    leading = asyncio.create_task(asked(house.broker, first))
    await until(lambda: model.count == 1)
    following = asyncio.create_task(house.answer())
    await asyncio.sleep(0.3)
    await Queries(house.broker).cancel(TENANT, first.query_id)
    await leading
    model.go_on.set()
    assert not (await following).cached


async def test_more_than_may_wait_are_answered_for_themselves(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    model.go_on.clear()
    await house.retrieve(retrieve_concurrency=2)  # of which one may wait
    await house.generate(model)
    asking = [asyncio.create_task(house.answer()) for _ in range(3)]
    await until(lambda: model.count == 2)
    model.go_on.set()
    assert len(await asyncio.gather(*asking)) == 3


async def test_workers_share_answers_in_the_broker_and_not_in_their_memory(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.generate(Model())
    async with house.wing() as wing:
        await wing.retrieve(cache=CacheBackend.NATS, instance="a")
        await house.kept()
    async with house.wing() as wing:
        await wing.retrieve(cache=CacheBackend.NATS, instance="b")
        assert (await house.answer()).cached
    async with house.wing() as wing:
        await wing.retrieve(cache=CacheBackend.MEMORY, instance="c")
        assert not (await house.answer()).cached


async def test_without_a_cache_nothing_is_kept(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve(cache=CacheBackend.OFF)
    await house.generate(Model())
    assert [(await house.answer()).cached for _ in range(3)] == [False] * 3


async def test_without_a_cache_nobody_waits_for_an_equal_question(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    model = Model()
    model.go_on.clear()
    await house.retrieve(cache=CacheBackend.OFF)
    await house.generate(model)
    asking = [asyncio.create_task(house.answer()) for _ in range(3)]
    await until(lambda: model.count == 3)
    model.go_on.set()
    assert [end.cached for end in await asyncio.gather(*asking)] == [False] * 3


async def test_no_answer_is_stale_while_documents_change(house: House) -> None:
    """Every answer cites the generation that was visible when its question was asked, or a newer one."""
    dice = random.Random(5)
    versions: list[str] = [await house.shelf.put("bees", "Drones leave the hive in week 0.")]
    await house.retrieve(cache=CacheBackend.NATS)
    await house.generate(Model())
    done = asyncio.Event()
    cached = stale = 0

    async def change() -> None:
        for week in range(1, 25):
            await asyncio.sleep(dice.uniform(0, 0.15))
            versions.append(await house.shelf.put("bees", f"Drones leave the hive in week {week}."))
        done.set()

    async def search() -> None:
        nonlocal cached, stale
        while not done.is_set():
            oldest = len(versions) - 1
            retrieved, *_, end = await house.ask(stream=False)
            assert isinstance(retrieved, Retrieved)
            assert isinstance(end, Completed), end
            cached += end.cached
            # A version may have become visible just before this test learns its name.
            seen = {p.generation for p in retrieved.passages} | {c.generation for c in end.citations}
            await until(partial(seen.issubset, versions))
            stale += any(versions.index(generation) < oldest for generation in seen)

    await asyncio.gather(change(), *(search() for _ in range(3)))
    assert stale == 0
    assert (await house.kept()).cached
    assert cached > 0


async def test_a_deleted_document_takes_the_answers_with_it(house: House, tmp_path: Path) -> None:
    generation = await house.shelf.put("bees", *TEXTS)
    await house.retrieve(cache=CacheBackend.NATS)
    await house.generate(Model())
    await house.kept()
    settings = EmbedSettings(
        nats_url=house.settings.nats_url,
        data_dir=tmp_path,
        index_path=house.settings.index_path,
        cache=CacheBackend.NATS,
    )
    storage = Storage(house.broker)
    assert await storage.count("KV_cache", "$KV.cache.>") > 0
    async with running(build_embed(settings, embedder=SimulatedEmbedder)):
        await house.shelf.ledger.delete(TENANT, "bees")
        end = await house.answer()
        assert not end.answered
        over = PurgeRequest(tenant=TENANT, document_id="bees", generation=generation)
        await house.broker.publish(subjects.embed_purge(TENANT), over, stream=topology.EMBED, message_id="over")

        async def gone() -> bool:
            data = [m.data async for m in storage.every("KV_cache", "$KV.cache.>")]
            return not any(TEXTS[1].encode() in value for value in data)

        await until(gone)


async def test_a_cache_that_is_away_fails_nothing(house: House) -> None:
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve(cache=CacheBackend.NATS)
    await house.generate(Model())
    await house.broker.js.delete_stream("KV_cache")
    for _ in range(3):
        assert (await house.answer()).answered


async def test_entries_of_another_tenant_are_never_found(house: House) -> None:
    cache = build_cache(house.settings, house.broker)
    await cache.open()
    await house.shelf.put("bees", *TEXTS)
    await house.retrieve()
    await house.generate(Model())
    await house.kept()
    for tenant in ("acme2", "acm", "ACME", "acme-"):
        events = await asked(house.broker, request(tenant=tenant))
        assert isinstance(events[-1], Completed | Failed)
        assert isinstance(events[-1], Completed)
        assert not events[-1].answered
        assert not events[-1].cached
    await cache.close()
