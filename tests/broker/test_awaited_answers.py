"""Answers that are listened for: who waits for whom, and what is kept of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from contracts.answers import Completed
from contracts.health import FACT_MODEL, FACT_PARAMETERS, FACT_PROMPT_VERSION, Heartbeat, ProcessState
from contracts.identifiers import new_id
from contracts.message import utc_now
from contracts.queries import QueryRequest
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.memory import MemoryCache
from messaging.caching.off import NoCache
from messaging.fleet import FleetView
from messaging.terminals import Terminals
from tests.broker.answering_stage import TENANT, passages
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until
from workers.retrieve.answer_keys import Who, key_of_epoch, key_of_passages, normalised
from workers.retrieve.conversations import CONDENSE_SKIPPED
from workers.retrieve.known_answers import Epoch, KnownAnswer, KnownAnswers, _Leading
from workers.retrieve.searcher import RERANK_SKIPPED, Found

SEARCH = {"fusion": "convex"}
EPOCH = Epoch(documents="7", search=SEARCH)
LEFT_S = 30.0
SCRIPTED = Who(model="scripted", prompt_version="p1", parameters="temperature 0", release="1")


class Watched(KnownAnswers):
    """Remembers how long each question would have waited."""

    waits: list[float]

    async def _ended(self, leading: _Leading, waits_until: float) -> bool:
        self.waits.append(waits_until)
        return await super()._ended(leading, waits_until)


class Desk:
    """Known answers with a fleet that a test makes up."""

    def __init__(self, broker: Broker, cache: Cache, *, track: str = "stable", who: Who = SCRIPTED) -> None:
        self.broker = broker
        self.cache = cache
        self.who = who
        self.fleet = FleetView(broker, service="generate")
        self.fleet.hear(heartbeat(who, track))
        self.known = Watched(broker, cache, self.fleet, self._epoch, search=SEARCH, ttl_s=60, most_waiting=4)
        self.known.waits = []

    async def ask(self, request: QueryRequest, found: Found, *, left_s: float = LEFT_S) -> KnownAnswer | None:
        return await self.known.for_passages(request, EPOCH, found, left_s=left_s)

    async def end(self, request: QueryRequest, *, finish_reason: str = "stop") -> None:
        """End its query, and wait until that was heard."""
        completed = Completed(
            tenant=TENANT,
            query_id=request.query_id,
            answer="Twenty.",
            model=self.who.model,
            prompt_version=self.who.prompt_version,
            finish_reason=finish_reason,
        )
        assert await Terminals(self.broker).end(completed)
        await until(lambda: (TENANT, request.query_id) not in self.known._awaited)

    @staticmethod
    async def _epoch(_: str) -> str:
        return EPOCH.documents


def heartbeat(who: Who, track: str, *, instance: str = "g1") -> Heartbeat:
    facts = {FACT_MODEL: who.model, FACT_PARAMETERS: who.parameters}
    if who.prompt_version:
        facts[FACT_PROMPT_VERSION] = who.prompt_version
    return Heartbeat(
        service="generate",
        instance=instance,
        host="h",
        version=who.release,
        track=track,
        pid=1,
        started_at=utc_now(),
        state=ProcessState.READY,
        in_flight=0,
        progress=0,
        rss_bytes=0,
        cpu_s=0,
        facts=facts,
    )


def question() -> QueryRequest:
    return QueryRequest(tenant=TENANT, query="How much do they weigh?", query_id=new_id())


def found(**timings_ms: float) -> Found:
    return Found(passages=passages(), encoder_serves_query=True, timings_ms=timings_ms)


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache(max_bytes=1 << 20, max_entries=100)


@pytest.fixture
async def desk(broker: Broker, cache: MemoryCache) -> AsyncIterator[Desk]:
    desk = Desk(broker, cache)
    async with desk.known.listening():
        await known_to_broker(broker)
        yield desk


async def test_an_answer_is_kept_under_its_passages_and_its_epoch(desk: Desk) -> None:
    first = question()
    assert await desk.ask(first, found()) is None
    await desk.end(first)
    again = await desk.ask(question(), found())
    assert again is not None
    assert again.answer == "Twenty."
    assert await desk.known.at_once(question(), EPOCH) == again


async def test_without_a_cache_not_even_the_epoch_is_read(broker: Broker) -> None:
    assert await Desk(broker, NoCache()).known.epoch(question()) is None


async def test_a_canary_gives_no_answers_to_the_questions_of_the_stable_track(
    broker: Broker, cache: MemoryCache
) -> None:
    assert await Desk(broker, cache).known.epoch(question()) == EPOCH
    assert await Desk(broker, cache, track="canary").known.epoch(question()) is None


async def test_an_entry_that_cannot_be_read_is_no_answer_and_is_forgotten(desk: Desk, cache: MemoryCache) -> None:
    keys = [
        key_of_epoch(question(), SCRIPTED, epoch=EPOCH.documents, search=SEARCH),
        key_of_passages(question(), SCRIPTED, found()),
    ]
    for key in keys:
        await cache.set(key, b'{"answer": 1}', 60)
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is None
    assert [await cache.get(key) for key in keys] == [None, None]


async def test_an_answer_that_was_under_way_while_the_cache_was_cleared_is_not_kept(
    desk: Desk, cache: MemoryCache
) -> None:
    """It was cleared for a document that was deleted: its text is in the passages."""
    first = question()
    await desk.ask(first, found())
    await cache.clear(TENANT)
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is None


@pytest.mark.parametrize("skipped", [RERANK_SKIPPED, CONDENSE_SKIPPED])
async def test_what_was_found_for_lack_of_time_stands_for_its_passages_only(desk: Desk, skipped: str) -> None:
    first = question()
    await desk.ask(first, found(**{skipped: 1.0}))
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is not None


async def test_where_no_model_could_put_a_question_in_full_nothing_is_lacking(
    broker: Broker, cache: MemoryCache
) -> None:
    desk = Desk(broker, cache, who=Who(model="extractive", prompt_version=None, parameters="", release="1"))
    async with desk.known.listening():
        await known_to_broker(broker)
        first = question()
        await desk.ask(first, found(**{CONDENSE_SKIPPED: 1.0}))
        await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is not None


async def test_a_question_that_is_delivered_again_does_not_wait_for_itself(desk: Desk) -> None:
    first = question()
    async with asyncio.timeout(60):
        assert await desk.ask(first, found()) is None
        assert await desk.ask(first, found()) is None
    assert desk.known.waits == []
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is not None


async def test_who_waits_for_several_answers_waits_no_longer_in_all(desk: Desk) -> None:
    """Answers that were cut are not kept, so each leaves the next one to be waited for."""
    first, second = question(), question()
    await desk.ask(first, found())
    following = [asyncio.create_task(desk.ask(one, found())) for one in (second, question())]
    await until(lambda: len(desk.known.waits) == 2)
    await desk.end(first, finish_reason="length")
    await until(lambda: len(desk.known.waits) == 3)
    assert desk.known.waits[2] == desk.known.waits[1]
    await desk.end(second, finish_reason="length")
    assert await asyncio.gather(*following) == [None, None]


async def test_answers_whose_end_was_not_heard_are_forgotten_after_their_deadline(desk: Desk) -> None:
    """Ends are not heard while the broker is away."""
    for _ in range(3):
        await desk.ask(question(), found(), left_s=0)
    late = question()
    await desk.ask(late, found())
    assert list(desk.known._awaited) == [(TENANT, late.query_id)]


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("When  do DRONES\tleave? ", "when do drones leave?", True),
        ("Ｗｈｅｎ　do ｄrones leave？", "when do drones leave?", True),
        ("カﾞ", "ガ", True),
        ("What is 10⁵?", "What is 105?", False),
        ("Welche Maße?", "Welche Masse?", False),
        ("Is ① right?", "Is 1 right?", False),
    ],
)
def test_questions_are_equal_that_mean_the_same(one: str, other: str, equal: bool) -> None:
    assert (normalised(one) == normalised(other)) is equal


@pytest.mark.parametrize("change", [{"parameters": "temperature 1"}, {"release": "2"}])
async def test_other_settings_and_releases_do_not_get_each_others_answers(desk: Desk, change: dict[str, str]) -> None:
    first = question()
    await desk.ask(first, found())
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is not None
    desk.fleet.hear(heartbeat(replace(SCRIPTED, **change), "stable"))  # the worker is another one now
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is None


async def test_what_one_makes_who_answers_otherwise_meanwhile_is_not_kept(desk: Desk) -> None:
    """It may have been made by the settings before, or by those after."""
    first = question()
    await desk.ask(first, found())
    desk.fleet.hear(heartbeat(replace(SCRIPTED, parameters="temperature 1"), "stable"))
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is None


async def test_what_was_found_while_the_search_was_exchanged_stands_for_its_passages_only(desk: Desk) -> None:
    first = question()
    await desk.ask(first, found())
    desk.known.adjust(search={"fusion": "rrf"}, in_use=True)
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is None
    assert await desk.ask(question(), found()) is not None


async def test_while_answers_are_not_to_be_given_again_none_is_kept(desk: Desk) -> None:
    first = question()
    await desk.ask(first, found())
    desk.known.adjust(search=SEARCH, in_use=False)
    assert await desk.known.epoch(question()) is None
    await desk.end(first)
    desk.known.adjust(search=SEARCH, in_use=True)
    assert await desk.known.epoch(question()) == EPOCH
    assert await desk.known.at_once(question(), EPOCH) is None


async def test_while_it_cannot_be_told_who_answered_nothing_is_kept(desk: Desk) -> None:
    desk.fleet.hear(heartbeat(replace(SCRIPTED, parameters="temperature 1"), "stable", instance="g2"))
    first = question()
    await desk.ask(first, found())
    await desk.end(first)
    assert await desk.known.at_once(question(), EPOCH) is None
