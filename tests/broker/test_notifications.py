"""The state of notifications and their history in a real broker."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from contracts import subjects, topology
from contracts.alerts import AlertEvent
from contracts.notifications import NotificationEvent, SendOutcome
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.notifications import PREFIX, BucketRecords, StreamHistory, fencing_token
from messaging.provisioning import provision
from messaging.storage import Storage
from observability.notifications.configuration import parse_config
from observability.notifications.dispatcher import Dispatcher
from observability.notifications.errors import FencedError
from observability.notifications.notification import Notification
from observability.notifications.pipeline import Pipeline
from observability.notifications.records import Records
from observability.notifications.silencing import Silences
from observability.notifications.state import GroupRecord
from observability.records import StaleRecordError
from tests.support.waiting import until

WAIT_S = 60.0
CONFIG = parse_config("""
route: {receiver: team, group_by: [alertname], group_wait: 0s}
receivers: [{name: team, channels: [mail]}]
channels: {mail: {kind: webhook, url: 'https://mail.example'}}
""")


def alert(name: str = "Down") -> AlertEvent:
    return AlertEvent.of({"alertname": name, "severity": "critical"}, starts_at=datetime(2026, 6, 1, tzinfo=UTC))


def record(name: str = "Down", *, token: int = 1) -> GroupRecord:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    pipeline = Pipeline(CONFIG, silences=Silences(), now=now, settle=timedelta())
    pipeline.observe(alert(name), now)
    made = pipeline.record(pipeline.groups[0].key, token)
    assert made is not None
    return made


def event(number: int = 0) -> NotificationEvent:
    return NotificationEvent(
        id=f"n{number}", channel="mail", receiver="team", group_key="g", outcome=SendOutcome.DELIVERED, attempts=1
    )


class TestBucketRecords:
    async def test_the_newest_of_each_group_is_loaded(self, broker: Broker) -> None:
        store = BucketRecords(broker)
        revision = await store.write(record(), revision=0)
        newest = await store.write(record(token=2), revision=revision)
        await store.write(record("Other"), revision=0)

        loaded = {each.key: each for each in await store.load()}
        assert loaded[record().key].revision == newest
        assert {each.record.token for each in loaded.values() if each.record} == {1, 2}

    async def test_one_of_two_writers_at_once_is_refused(self, broker: Broker) -> None:
        store = BucketRecords(broker)
        written = await asyncio.gather(*(store.write(record(), revision=0) for _ in range(2)), return_exceptions=True)

        assert [type(each) for each in written if isinstance(each, Exception)] == [StaleRecordError]

    async def test_a_removed_group_is_gone_and_may_come_again(self, broker: Broker) -> None:
        store = BucketRecords(broker)
        revision = await store.write(record(), revision=0)
        await store.remove(record().key, revision=revision)

        assert await store.load() == []
        assert await store.read(record().key) is None
        await store.write(record(), revision=0)

    async def test_what_another_wrote_later_is_not_removed(self, broker: Broker) -> None:
        store = BucketRecords(broker)
        revision = await store.write(record(), revision=0)
        await store.write(record(token=2), revision=revision)
        await store.remove(record().key, revision=revision)

        assert len(await store.load()) == 1

    async def test_what_is_no_record_is_loaded_as_unreadable(self, broker: Broker) -> None:
        store = BucketRecords(broker)
        await broker.publish_bytes(f"$KV.alerts.{PREFIX}.{record().key}", b"{}", stream="KV_alerts")
        (loaded,) = await store.load()

        assert loaded.record is None
        await store.write(record(), revision=loaded.revision)

    async def test_an_observer_that_led_before_is_fenced(self, broker: Broker) -> None:
        old, new = (Records(BucketRecords(broker), token=token) for token in (1, 2))
        now = datetime.now(UTC)
        first, second = (Pipeline(CONFIG, silences=Silences(), now=now, settle=timedelta()) for _ in range(2))
        first.observe(alert(), now)
        key = first.groups[0].key
        await old.save(first, key)
        second.restore(await new.load(), now)
        await new.save(second, key)

        with pytest.raises(FencedError):
            await old.save(first, key)

    async def test_tokens_grow_also_when_revisions_begin_again(self, broker: Broker) -> None:
        before = await fencing_token(broker, 1_000_000)
        await broker.js.delete_stream("KV_leases")
        made_at = before >> 32  # in whole seconds
        await until(lambda: datetime.now(UTC).timestamp() >= made_at + 1, timeout_s=WAIT_S)
        await provision(broker, Topology())

        assert before < await fencing_token(broker, 1) < await fencing_token(broker, 2)


class TestStreamHistory:
    async def test_events_are_kept_once_in_ops(self, broker: Broker) -> None:
        history = StreamHistory(broker)
        for told in (one := event(), one, event(1)):
            await history.keep(told)

        stored = await Storage(broker).following(topology.OPS.name, f"{subjects.NOTIFICATIONS}.>")
        assert [NotificationEvent.from_bytes(each.data).id for each in stored] == ["n0", "n1"]

    async def test_a_broker_that_is_away_is_said(self, broker: Broker, nats_server: NatsServer) -> None:
        nats_server.kill()
        await until(lambda: not broker.is_connected, timeout_s=WAIT_S)

        with pytest.raises(BrokerUnavailableError):
            await StreamHistory(broker).keep(event())


async def test_alerts_have_subjects_whatever_their_labels_hold(broker: Broker) -> None:
    odd = AlertEvent.of({"alertname": "a.b *>", "severity": "sehr schlimm"}, starts_at=datetime.now(UTC))
    await broker.publish(subjects.alert(odd), odd, stream=topology.OPS, message_id=odd.id)

    (stored,) = await Storage(broker).following(topology.OPS.name, f"{subjects.ALERTS}.>")
    assert stored.subject == "rag.alerts.sehr_schlimm.a_b___"
    assert AlertEvent.from_bytes(stored.data) == odd


async def test_a_take_over_through_the_broker_tells_nothing_twice(broker: Broker) -> None:
    got: list[str] = []

    class Counting:
        async def send(self, notification: Notification) -> str:
            got.append(notification.firing[0].name)
            return "taken"

        async def close(self) -> None:
            pass

    async def lead(token: int, alerts: list[AlertEvent], expected: int) -> None:
        dispatcher = Dispatcher(
            CONFIG,
            {"mail": Counting()},
            silences=Silences(),
            store=BucketRecords(broker),
            token=token,
            history=StreamHistory(broker),
            clock=lambda: datetime.now(UTC),
            settle=timedelta(),
        )
        await dispatcher.start()
        dispatcher.observe(alerts)
        running = asyncio.create_task(dispatcher.run())
        try:
            await until(lambda: stored_as_told(expected), timeout_s=WAIT_S)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def stored_as_told(count: int) -> bool:
        records = [each.record for each in await BucketRecords(broker).load() if each.record]
        return sum(told.at is not None for r in records for told in r.told.get("mail", {}).values()) == count

    await lead(1, [alert("One")], 1)
    await lead(2, [alert("One"), alert("Two")], 2)

    assert got == ["One", "Two"]
