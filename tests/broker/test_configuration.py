"""Revisions of the runtime configuration on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts import subjects, topology
from contracts.errors import NewerSchemaError
from contracts.runtime_config import (
    Change,
    ConfigChanged,
    ConfigRefusedError,
    ConfigRevision,
    RuntimeConfig,
)
from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.configuration import (
    ConfigBook,
    ConfigClerk,
    ConfigConflictError,
    ConfigFollower,
    ConfigUnreadableError,
    NoSuchRevisionError,
)
from messaging.configuration.keys import CURRENT, kept
from messaging.storage import Storage
from tests.support.outages import crash
from tests.support.waiting import until

WHO: dict[str, Any] = {"principal": "ada", "because": "to see"}


@pytest.fixture
def book(broker: Broker) -> ConfigBook:
    return ConfigBook(broker)


async def events(broker: Broker) -> list[ConfigChanged]:
    stored = [each async for each in Storage(broker).every(topology.OPS.name, subjects.CONFIG_CHANGES)]
    return [ConfigChanged.from_bytes(each.data) for each in stored]


async def overwritten(broker: Broker, key: str, value: bytes) -> None:
    await Bucket(broker, topology.CONFIG).overwrite(key, value)


def of_a_newer_release(number: int) -> bytes:
    data = ConfigRevision(number=number, values=RuntimeConfig(), because="x").to_bytes()
    return data.replace(b'"schema_version":1', b'"schema_version":99').replace(b'"values":{', b'"values":{"new":1,')


class TestChanging:
    async def test_each_change_is_a_numbered_revision_of_somebody(self, book: ConfigBook) -> None:
        await book.change({"top_k": 7}, principal="ada", because="more to read", claimed_by="ada@hive")
        await book.change({"top_k": None, "fusion": "rrf"}, principal="bob", because="again")

        second, first = await book.history()
        assert (first.number, first.values.given, first.principal) == (1, {"top_k": 7}, "ada")
        assert (first.because, first.claimed_by) == ("more to read", "ada@hive")
        assert (second.number, second.values.given, second.principal) == (2, {"fusion": "rrf"}, "bob")
        assert await book.current() == second
        assert await book.find(1) == first

    async def test_a_change_is_refused_whole(self, book: ConfigBook) -> None:
        with pytest.raises(ConfigRefusedError, match="top_k"):
            await book.change({"fusion": "rrf", "top_k": 0}, **WHO)
        assert await book.current() is None
        assert await book.history() == []

    async def test_what_is_so_already_makes_no_revision(self, book: ConfigBook) -> None:
        assert (await book.change({"top_k": 7}, **WHO)).is_new
        again = await book.change({"top_k": 7, "fusion": None}, **WHO)
        assert not again.is_new
        assert again.revision is not None
        assert again.revision.number == 1

    async def test_writers_at_once_share_no_number_and_lose_no_change(
        self, book: ConfigBook, broker: Broker, broker_settings: BrokerSettings
    ) -> None:
        other = await Broker.connect(broker_settings, name="other", on_closed=lambda: None)
        try:
            made = await asyncio.gather(
                book.change({"top_k": 7}, **WHO),
                ConfigBook(other).change({"fusion": "rrf"}, **WHO),
                ConfigBook(other).change({"reranking": False}, **WHO),
                book.change({"answer_cache": False}, **WHO),
            )
        finally:
            await other.close()

        assert sorted(each.revision.number for each in made if each.revision) == [1, 2, 3, 4]
        current = await book.current()
        assert current is not None
        assert current.values.given == {"fusion": "rrf", "reranking": False, "answer_cache": False, "top_k": 7}
        assert [each.number for each in await book.history()] == [4, 3, 2, 1]
        assert {each.id for each in await events(broker)} == {f"config.{number}" for number in (1, 2, 3, 4)}

    async def test_a_change_meant_for_another_revision_is_refused(self, book: ConfigBook) -> None:
        await book.change({"top_k": 7}, **WHO, expected=0)
        with pytest.raises(ConfigConflictError, match="revision 1 is current, not 0"):
            await book.change({"top_k": 8}, **WHO, expected=0)
        await book.change({"top_k": 8}, **WHO, expected=1)

    async def test_as_many_as_promised_are_kept(
        self, book: ConfigBook, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("messaging.configuration.book.MOST_KEPT", 3)
        for top_k in range(1, 7):
            await book.change({"top_k": top_k}, **WHO)

        assert [each.number for each in await book.history()] == [6, 5, 4]
        assert await book.find(3) is None
        with pytest.raises(NoSuchRevisionError, match="no revision 3"):
            await book.roll_back(3, **WHO)
        stored = await Storage(broker).subjects("KV_config", "$KV.config.runtime.kept.*")
        assert {subject.rsplit(".", 1)[-1] for subject in stored} == {"4", "5", "6"}


class TestGoingBack:
    async def test_it_makes_a_new_revision_like_the_older_one(self, book: ConfigBook) -> None:
        await book.change({"top_k": 7}, **WHO)
        await book.change({"top_k": 9, "fusion": "rrf"}, **WHO)
        back = (await book.roll_back(principal="bob", because="worse answers")).revision

        assert back is not None
        assert (back.number, back.values.given, back.restores, back.principal) == (3, {"top_k": 7}, 1, "bob")
        assert [each.number for each in await book.history()] == [3, 2, 1]

    async def test_going_back_twice_goes_back_two_changes(self, book: ConfigBook) -> None:
        for top_k in (7, 8, 9):
            await book.change({"top_k": top_k}, **WHO)
        await book.roll_back(**WHO)
        twice = (await book.roll_back(**WHO)).revision

        assert twice is not None
        assert (twice.number, twice.values.top_k, twice.restores) == (5, 7, 1)
        thrice = (await book.roll_back(**WHO)).revision
        assert thrice is not None
        assert (thrice.values.given, thrice.restores) == ({}, 0)
        with pytest.raises(NoSuchRevisionError, match="nothing was set before"):
            await book.roll_back(**WHO)

    async def test_where_nothing_was_set_there_is_nothing_to_go_back_to(self, book: ConfigBook) -> None:
        with pytest.raises(NoSuchRevisionError, match="nothing was ever set"):
            await book.roll_back(**WHO)
        with pytest.raises(NoSuchRevisionError, match="no revision 4"):
            await book.roll_back(4, **WHO)


class TestTelling:
    async def test_each_revision_is_told_of_once_with_what_it_changed(self, book: ConfigBook, broker: Broker) -> None:
        await book.change({"top_k": 7}, **WHO)
        await book.change({"top_k": 8}, principal="bob", because="better")
        await book.roll_back(1, principal="bob", because="no, it was not")

        first, second, third = await events(broker)
        assert first.changes == (Change(key="top_k", before=None, after=7),)
        assert (second.changes, second.principal) == ((Change(key="top_k", before=7, after=8),), "bob")
        assert (third.number, third.restores, third.because) == (3, 1, "no, it was not")

    async def test_one_whose_writer_died_is_told_of_by_the_clerk(self, book: ConfigBook, broker: Broker) -> None:
        orphan = ConfigRevision(number=1, values=RuntimeConfig(top_k=7), because="then it died", principal="ada")
        await overwritten(broker, CURRENT, orphan.to_bytes())
        clerk = asyncio.create_task(ConfigClerk(broker).run())
        try:
            await until(lambda: Bucket(broker, topology.CONFIG).get(kept(1)))
        finally:
            clerk.cancel()
        assert [each.because for each in await events(broker)] == ["then it died"]

    async def test_or_by_who_makes_the_next(self, book: ConfigBook, broker: Broker) -> None:
        orphan = ConfigRevision(number=1, values=RuntimeConfig(top_k=7), because="then it died", principal="ada")
        await overwritten(broker, CURRENT, orphan.to_bytes())
        await book.change({"fusion": "rrf"}, **WHO)

        assert [(each.number, each.because) for each in await book.history()] == [(2, "to see"), (1, "then it died")]
        assert [each.number for each in await events(broker)] == [1, 2]


class TestWhatIsThere:
    async def test_what_a_newer_release_wrote_is_not_replaced(self, book: ConfigBook, broker: Broker) -> None:
        await overwritten(broker, CURRENT, of_a_newer_release(5))
        with pytest.raises(NewerSchemaError):
            await book.change({"top_k": 7}, **WHO)

    async def test_what_is_no_revision_is_said_to_be_none(self, book: ConfigBook, broker: Broker) -> None:
        await overwritten(broker, CURRENT, b"top_k: 7")
        with pytest.raises(ConfigUnreadableError, match=r"runtime\.current .* remove that key"):
            await book.change({"top_k": 7}, **WHO)

    async def test_numbers_go_on_when_a_person_has_removed_the_current_one(
        self, book: ConfigBook, broker: Broker
    ) -> None:
        for top_k in (7, 8):
            await book.change({"top_k": top_k}, **WHO)
        bucket = Bucket(broker, topology.CONFIG)
        await bucket.storage.purge(bucket.stream, bucket.subject(CURRENT))

        assert await book.current() is None
        made = await book.change({"top_k": 9}, **WHO)
        assert made.revision is not None
        assert made.revision.number == 3


class Following:
    """A follower that notes what it applied, in order."""

    def __init__(self, broker: Broker, *, poll_s: float) -> None:
        self.applied: list[int | None] = []
        self.told: list[int] = []
        self.reader = InMemoryMetricReader()
        meter = MeterProvider([self.reader]).get_meter("test")
        self.follower = ConfigFollower(broker, self._apply, tell=self._tell, meter=meter, poll_s=poll_s)

    def _apply(self, config: RuntimeConfig) -> None:
        self.applied.append(config.top_k)

    async def _tell(self, number: int) -> None:
        self.told.append(number)

    def figures(self) -> dict[str, float]:
        data = self.reader.get_metrics_data()
        metrics: Iterable = data.resource_metrics[0].scope_metrics[0].metrics if data else ()
        return {metric.name: metric.data.data_points[0].value for metric in metrics}


@pytest.fixture
async def following(broker: Broker) -> AsyncIterator[Following]:
    """One that would notice nothing by looking: it has to hear of each change."""
    following = Following(broker, poll_s=3600)
    await following.follower.begin()
    running = asyncio.create_task(following.follower.run())
    yield following
    running.cancel()
    await asyncio.wait({running})


class TestFollowing:
    async def test_each_change_is_applied_and_then_told(self, book: ConfigBook, following: Following) -> None:
        assert (following.applied, following.told) == ([None], [0])
        await book.change({"top_k": 7}, **WHO)
        await until(lambda: following.applied[-1] == 7)
        await book.change({"top_k": 8}, **WHO)
        await until(lambda: following.applied[-1] == 8)
        await book.roll_back(**WHO)
        await until(lambda: following.told == [0, 1, 2, 3])
        assert following.applied == [None, 7, 8, 7]
        assert following.figures()["waggle.config.revision"] == 3

    async def test_what_was_set_before_is_applied_at_the_beginning(self, book: ConfigBook, broker: Broker) -> None:
        await book.change({"top_k": 7}, **WHO)
        late = Following(broker, poll_s=3600)
        await late.follower.begin()
        assert (late.applied, late.told) == ([7], [1])

    async def test_a_newer_release_s_revision_leaves_the_old_one_in_force(
        self, book: ConfigBook, broker: Broker, following: Following
    ) -> None:
        await book.change({"top_k": 7}, **WHO)
        await until(lambda: following.told[-1] == 1)
        await overwritten(broker, CURRENT, of_a_newer_release(2))
        await until(lambda: following.figures().get("waggle.config.refused"))

        assert (following.applied, following.told) == ([None, 7], [0, 1])
        assert following.figures()["waggle.config.revision"] == 1
        revision = ConfigRevision(number=3, values=RuntimeConfig(top_k=9), because="upgraded")
        await overwritten(broker, CURRENT, revision.to_bytes())
        await until(lambda: following.told[-1] == 3)

    async def test_changes_are_heard_after_the_broker_was_restarted(
        self, book: ConfigBook, broker: Broker, nats_server: NatsServer, following: Following
    ) -> None:
        await book.change({"top_k": 7}, **WHO)
        await until(lambda: following.told[-1] == 1)
        await crash(nats_server, broker)

        async def changed() -> bool:
            return (await book.change({"top_k": 8}, **WHO)).revision is not None

        await until(changed)
        await until(lambda: following.told[-1] == 2)
        assert [each.number for each in await book.history()] == [2, 1]

    async def test_one_that_hears_nothing_looks_by_itself(
        self, book: ConfigBook, broker: Broker, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deaf = Following(broker, poll_s=0.1)
        monkeypatch.setattr("messaging.watching.woken_within", _deaf)
        await deaf.follower.begin()
        running = asyncio.create_task(deaf.follower.run())
        try:
            await book.change({"top_k": 7}, **WHO)
            await until(lambda: deaf.told[-1] == 1)
        finally:
            running.cancel()
            await asyncio.wait({running})


async def _deaf(_: asyncio.Event, timeout_s: float) -> bool:
    await asyncio.sleep(timeout_s)
    return False
