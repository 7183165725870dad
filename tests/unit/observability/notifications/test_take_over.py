"""One observer goes on where another stopped, and the other one stops."""

from __future__ import annotations

import asyncio

import pytest

from observability.notifications.errors import FencedError
from observability.notifications.records import MemoryStore, Records
from observability.notifications.state import GroupRecord
from observability.records import StaleRecordError, StoredRecord
from tests.support.waiting import until
from tests.unit.observability.notifications.examples import MORNING, alert
from tests.unit.observability.notifications.fleet import WAIT_S, Fleet


class TestTakeOver:
    async def test_the_second_observer_tells_nothing_again(self, fleet: Fleet) -> None:
        async with fleet.observer(token=1) as first:
            first.observe([alert()])
            await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)
        async with fleet.observer(token=2) as second:
            second.observe([alert(), alert("Other", at=MORNING)])
            await until(lambda: len(fleet.mail.got) == 2 and len(fleet.chat.got) == 2, timeout_s=WAIT_S)
            fleet.clock.forward(minutes=5)
            second.observe([alert("Last", at=fleet.clock.now)])
            await until(lambda: len(fleet.mail.got) == 3 and len(fleet.chat.got) == 3, timeout_s=WAIT_S)

        assert [n.firing[0].name for n in fleet.mail.got] == ["HighErrorRate", "Other", "Last"]

    async def test_what_was_on_its_way_is_told_again_with_the_same_key(self, fleet: Fleet) -> None:
        fleet.mail.stuck = True
        async with fleet.observer(token=1) as first:
            first.observe([alert()])
            await until(lambda: fleet.mail.attempts and fleet.is_stored_as_told("chat"), timeout_s=WAIT_S)
            assert fleet.stored()[0].told["mail"][alert().fingerprint].at is None  # stored before it was sent
        fleet.mail.stuck = False
        fleet.clock.forward(minutes=5)
        async with fleet.observer(token=2) as second:
            second.observe([alert()])
            await until(lambda: fleet.mail.got, timeout_s=WAIT_S)

        assert len(fleet.chat.got) == 1

    async def test_the_end_of_what_was_on_its_way_is_told(self, fleet: Fleet) -> None:
        fleet.mail.stuck = True
        async with fleet.observer(token=1) as first:
            first.observe([alert()])
            await until(lambda: fleet.mail.attempts and fleet.is_stored_as_told("chat"), timeout_s=WAIT_S)
        fleet.mail.stuck = False
        fleet.clock.forward(minutes=6)
        async with fleet.observer(token=2) as second:
            second.observe([alert(minutes=5)])
            await until(lambda: fleet.mail.got and len(fleet.chat.got) == 2, timeout_s=WAIT_S)

        assert [n.status for n in fleet.mail.got] == ["resolved"]

    async def test_one_that_does_not_lead_any_more_stops(self, fleet: Fleet) -> None:
        first = fleet.dispatcher(token=1)
        await first.start()
        first.observe([alert()])
        running = asyncio.create_task(first.run())
        await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)
        await fleet.dispatcher(token=2).start()
        fleet.clock.forward(hours=5)

        with pytest.raises(FencedError):
            async with asyncio.timeout(WAIT_S):
                await running
        assert len(fleet.mail.got) == 1
        assert fleet.mail.closed
        assert fleet.chat.closed

    async def test_one_with_an_old_token_does_not_even_begin(self, fleet: Fleet) -> None:
        async with fleet.observer(token=2) as observer:
            observer.observe([alert()])
            await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)

        with pytest.raises(FencedError):
            await fleet.dispatcher(token=1).start()

    async def test_what_the_first_stored_last_is_believed_by_the_second(self, fleet: Fleet) -> None:
        """The first opens a group after the second has read what there is, and before that writes it."""
        first, second = fleet.dispatcher(token=1), fleet.dispatcher(token=2)
        await second.start()
        await first.start()
        told = alert()
        for observer in (first, second):
            observer.observe([told])
        due = first.pipeline.turns(MORNING)
        for each in due:
            notification = first.pipeline.begin(each, MORNING)
            assert notification is not None
            first.pipeline.delivered(notification, MORNING)
        await first._records.save(first.pipeline, due[0].group_key)

        await second._records.save(second.pipeline, due[0].group_key)

        assert second.pipeline.turns(MORNING) == []
        with pytest.raises(FencedError):
            await first._records.save(first.pipeline, due[0].group_key)


class TestRecords:
    async def test_a_record_that_cannot_be_read_is_written_over(self, fleet: Fleet) -> None:
        class Unreadable(MemoryStore):
            async def load(self) -> list[StoredRecord[GroupRecord]]:
                return [StoredRecord(key=s.key, revision=s.revision, record=None) for s in await super().load()]

        store = Unreadable()
        first, second = fleet.dispatcher(), fleet.dispatcher()
        first.observe([alert()])
        (key,) = first.pipeline.take_changed()
        await Records(store, token=1).save(first.pipeline, key)
        second.observe([alert()])
        records = Records(store, token=2)

        assert await records.load() == []
        await records.save(second.pipeline, key)
        assert (await store.read((await store.load())[0].key)) is not None

    async def test_a_group_that_is_over_leaves_nothing(self, fleet: Fleet) -> None:
        async with fleet.observer() as observer:
            observer.observe([alert()])
            await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)
            fleet.clock.forward(minutes=5)
            observer.observe([alert(minutes=1)])
            await until(lambda: len(fleet.mail.got) == 2 and len(fleet.chat.got) == 2, timeout_s=WAIT_S)
            fleet.clock.forward(minutes=5)
            await until(lambda: fleet.stored() == [], timeout_s=WAIT_S)

    async def test_a_write_against_an_old_revision_is_refused(self, fleet: Fleet) -> None:
        dispatcher = fleet.dispatcher()
        dispatcher.observe([alert()])
        record = dispatcher.pipeline.record(dispatcher.pipeline.groups[0].key, 1)
        assert record is not None
        await fleet.store.write(record, revision=0)

        with pytest.raises(StaleRecordError):
            await fleet.store.write(record, revision=0)
