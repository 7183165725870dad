"""What of alerts lies in a real broker: the state of rules, their texts, silences, history."""

from __future__ import annotations

import asyncio
import base64
import random
from datetime import UTC, datetime, timedelta

import pytest

from contracts import topology
from contracts.alerts import AlertEvent
from contracts.notifications import NotificationEvent, SendOutcome
from contracts.settings import BrokerSettings
from contracts.silences import LabelMatcher, MatchOperator, Silence
from deploy.local.nats_server import NatsServer
from messaging.alert_events import AlertEvents
from messaging.alert_states import BucketStates
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError, MessageTooLargeError
from messaging.notifications import StreamHistory
from messaging.rule_texts import RuleTextRefusedError, RuleTexts
from messaging.silences import (
    SilenceBook,
    SilenceConflictError,
    SilenceKeeper,
    SilenceRefusedError,
    new_silence,
)
from messaging.storage import Storage
from messaging.watching import BucketWatch
from observability.alerting import GroupKey, KeptStates, RuleGroupRecord, record_key
from observability.notifications import FencedError, Silences
from observability.notifications.matchers import Matchers
from observability.records import StaleRecordError
from observability.rules import RuleFileError
from tests.support.waiting import until

WAIT_S = 60.0
KEY = GroupKey("shipped/fleet.yaml", "fleet")
STARTS = datetime(2026, 6, 1, tzinfo=UTC)
MATCHER = LabelMatcher(name="service", operator=MatchOperator.EQUAL, value="embed")
RULES = "groups: [{name: g, rules: [{alert: A, expr: 'up == 0'}]}]"


@pytest.fixture
def broker_settings(nats_server: NatsServer) -> BrokerSettings:
    """One that is away is not waited for as long as usual."""
    return BrokerSettings(nats_url=nats_server.url, publish_timeout_s=2)


def event(name: str = "Down", *, minutes: int | None = None, severity: str = "critical", **labels: str) -> AlertEvent:
    ends_at = None if minutes is None else STARTS + timedelta(minutes=minutes)
    return AlertEvent.of({"alertname": name, "severity": severity, **labels}, starts_at=STARTS, ends_at=ends_at)


class TestStates:
    async def test_the_newest_of_each_group_is_loaded(self, broker: Broker) -> None:
        store = BucketStates(broker)
        first = RuleGroupRecord(token=1, file=KEY.file, group=KEY.name)
        revision = await store.write(first, revision=0)
        newest = first.model_copy(update={"token": 2, "untold": (event(),)})
        revision = await store.write(newest, revision=revision)
        with pytest.raises(StaleRecordError):
            await store.write(first, revision=revision - 1)
        await store.write(first.model_copy(update={"group": "other"}), revision=0)

        loaded = {each.key: each.record for each in await store.load()}
        assert len(loaded) == 2
        assert loaded[record_key(KEY)] == newest
        await store.remove(record_key(KEY), revision=revision)
        assert await store.read(record_key(KEY)) is None

    async def test_a_leader_that_was_replaced_writes_nothing(self, broker: Broker) -> None:
        old, new = (KeptStates(BucketStates(broker), token=token) for token in (1, 2))
        await old.claim({KEY})
        await new.claim({KEY})
        old.put(KEY, None, [event()])

        with pytest.raises(FencedError):
            await old.write(KEY)
        (stored,) = await BucketStates(broker).load()
        assert stored.record is not None
        assert (stored.record.token, stored.record.untold) == (2, ())

    async def test_one_that_is_too_large_and_a_broker_that_is_away_are_told_apart(
        self, broker: Broker, nats_server: NatsServer
    ) -> None:
        kept = KeptStates(BucketStates(broker), token=1)
        noise = random.Random(1)
        texts = [base64.b64encode(noise.randbytes(6_000)).decode() for _ in range(300)]
        events = [event(f"A{n}").model_copy(update={"annotations": {"text": text}}) for n, text in enumerate(texts)]
        kept.put(KEY, None, events)
        with pytest.raises(MessageTooLargeError):
            await kept.write(KEY)
        nats_server.kill()
        await until(lambda: not broker.is_connected, timeout_s=WAIT_S)
        kept.put(GroupKey("f", "g"), None, [event()])
        with pytest.raises(BrokerUnavailableError):
            await kept.write(GroupKey("f", "g"))


class TestHistory:
    @pytest.fixture
    async def events(self, broker: Broker) -> AlertEvents:
        events = AlertEvents(broker)
        for each in (event(), event("Slow", severity="warning", service="embed"), event(minutes=5)):
            await events.publish(each)
        return events

    async def test_an_event_that_is_published_again_is_stored_once(self, events: AlertEvents) -> None:
        await events.publish(event())

        assert len((await events.alerts()).events) == 3

    async def test_it_is_chosen_by_name_severity_and_label(self, events: AlertEvents) -> None:
        async def names(**options) -> list[str]:
            return [f"{each.name} {each.state}" for each in (await events.alerts(**options)).events]

        assert await names(names=["Down"]) == ["Down firing", "Down resolved"]
        assert await names(names=["Down", "Slow"], severities=["warning"]) == ["Slow firing"]
        assert await names(matchers=Matchers.parse(["service=embed"])) == ["Slow firing"]
        assert await names(severities=["info"]) == []

    async def test_it_is_read_in_pages_and_between_two_times(self, events: AlertEvents, broker: Broker) -> None:
        first = await events.alerts(limit=2)
        assert first.after is not None
        rest = await events.alerts(limit=2, after=first.after)
        assert [len(first.events), len(rest.events), rest.after] == [2, 1, None]
        stored = await Storage(broker).following(topology.OPS.name, "rag.alerts.>")
        middle = stored[1].stored_at
        assert [each.id for each in (await events.alerts(since=middle)).events] == [
            AlertEvent.from_bytes(each.data).id for each in stored if each.stored_at >= middle
        ]
        before = (await events.alerts(until=middle)).events
        assert [each.id for each in before] == [event().id]

    async def test_what_cannot_be_read_is_left_out(self, events: AlertEvents, broker: Broker) -> None:
        await broker.publish_bytes("rag.alerts.critical.Odd", b"{}", stream=topology.OPS.name)

        assert len((await events.alerts()).events) == 3

    async def test_so_is_what_was_sent(self, broker: Broker) -> None:
        about = event()
        for number, channel in enumerate(("mail", "chat")):
            sent = NotificationEvent(
                id=f"n{number}",
                channel=channel,
                receiver="team",
                group_key="g",
                outcome=SendOutcome.DELIVERED,
                attempts=1,
                firing=(about.fingerprint,) if channel == "mail" else (),
            )
            await StreamHistory(broker).keep(sent)
        read = AlertEvents(broker).notifications

        assert [each.id for each in (await read()).events] == ["n0", "n1"]
        assert [each.id for each in (await read(channel="chat")).events] == ["n1"]
        assert [each.id for each in (await read(fingerprint=about.fingerprint)).events] == ["n0"]


class TestSilences:
    @pytest.fixture
    def book(self, broker: Broker) -> SilenceBook:
        return SilenceBook(broker)

    def silence(self, broker: Broker, *, hours: float = 1, **options) -> Silence:
        now = broker.clock.now()
        return new_silence(
            **{
                "matchers": [MATCHER],
                "starts_at": now,
                "ends_at": now + timedelta(hours=hours),
                "principal": "ann",
                **options,
            }
        )

    async def test_one_that_is_asked_for_again_is_the_one_that_is_there(
        self, broker: Broker, book: SilenceBook
    ) -> None:
        first = await book.create(self.silence(broker, request="r1"))
        again = self.silence(broker, request="r1", hours=2)

        assert await book.create(again) == first
        made = await asyncio.gather(*(book.create(self.silence(broker, request="r2")) for _ in range(4)))
        assert len({each.id for each in made}) == 1
        assert len(await book.all()) == 2
        other = LabelMatcher(name="service", operator=MatchOperator.EQUAL, value="ingest")
        with pytest.raises(SilenceConflictError):
            await book.create(self.silence(broker, request="r1", matchers=[other]))

    async def test_one_that_was_ended_does_not_come_again(self, broker: Broker, book: SilenceBook) -> None:
        made = await book.create(self.silence(broker, request="r1"))
        ended = await book.expire(made.id)

        assert ended is not None
        assert ended.ends_at < made.ends_at
        assert await book.create(self.silence(broker, request="r1")) == ended == await book.get(made.id)
        assert await book.expire(made.id) == ended
        assert await book.expire("nothing") is None

    async def test_one_that_has_not_begun_can_be_ended(self, broker: Broker, book: SilenceBook) -> None:
        now = broker.clock.now()
        planned = self.silence(broker, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2))
        ended = await book.expire((await book.create(planned)).id)

        assert ended is not None
        assert ended.starts_at < ended.ends_at <= broker.clock.now()

    async def test_what_would_silence_everything_or_nothing_is_refused(self, broker: Broker, book: SilenceBook) -> None:
        anything = LabelMatcher(name="service", operator=MatchOperator.REGEX, value=".*")
        past = broker.clock.now() - timedelta(hours=2)
        for bad in (
            self.silence(broker, matchers=[anything]),
            self.silence(broker, starts_at=past, ends_at=past + timedelta(hours=1)),
        ):
            with pytest.raises(SilenceRefusedError):
                await book.create(bad)
        assert await book.all() == []

    async def test_those_long_over_are_removed(self, broker: Broker, book: SilenceBook) -> None:
        old = broker.clock.now() - timedelta(days=6)
        over = self.silence(broker, starts_at=old, ends_at=old + timedelta(hours=1))
        await broker.publish_bytes(f"$KV.silences.{over.id}", over.to_bytes(), stream="KV_silences")
        kept = await book.create(self.silence(broker))

        assert await book.sweep() == 1
        assert await book.all() == [kept]

    async def test_who_tells_keeps_in_step(self, broker: Broker, book: SilenceBook) -> None:
        silences = Silences()
        keeping = asyncio.create_task(SilenceKeeper(broker, silences, poll_s=0.3).run(known=lambda: None))

        def silenced() -> bool:
            return silences.silencing({"service": "embed"}, broker.clock.now()) is not None

        try:
            made = await book.create(self.silence(broker))
            await until(silenced, timeout_s=WAIT_S)
            await broker.publish_bytes("$KV.silences.odd", b"{}", stream="KV_silences")
            await book.expire(made.id)
            await until(lambda: not silenced(), timeout_s=WAIT_S)
            await book.create(self.silence(broker, request="next"))
            await until(silenced, timeout_s=WAIT_S)
            await Storage(broker).purge("KV_silences", "$KV.silences.*")  # which no watch tells
            await until(lambda: not silenced(), timeout_s=WAIT_S)
        finally:
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


class TestRuleTexts:
    async def test_texts_are_put_replaced_and_removed(self, broker: Broker) -> None:
        texts = RuleTexts(broker)
        await texts.put("mine", RULES)
        await texts.put("mine", RULES.replace("A,", "B,"))

        assert await texts.read() == {"config/rules.mine": RULES.replace("A,", "B,")}
        assert await texts.remove("mine")
        assert await texts.read() == {}
        assert not await texts.remove("mine")

    async def test_what_would_be_refused_is_not_stored(self, broker: Broker) -> None:
        texts = RuleTexts(broker)
        await texts.put("mine", RULES)
        with pytest.raises(RuleFileError, match=r"config/rules\.mine:1"):
            await texts.put("mine", RULES.replace("up == 0", "up =="))
        for name, text in (("a.b", RULES), ("large", "#" * 600_000)):
            with pytest.raises(RuleTextRefusedError):
                await texts.put(name, text)

        assert await texts.read() == {"config/rules.mine": RULES}

    async def test_a_watch_goes_on_after_the_broker_was_away(self, broker: Broker, nats_server: NatsServer) -> None:
        watch, seen = BucketWatch(broker, topology.CONFIG, "rules.*", poll_s=30), list[int]()

        async def follow() -> None:
            async for entries in watch.states():
                seen.append(len(entries))

        following = asyncio.create_task(follow())
        try:
            await until(lambda: seen == [0], timeout_s=WAIT_S)
            nats_server.kill()
            nats_server.start()
            await until(lambda: broker.is_connected, timeout_s=WAIT_S)

            async def put() -> bool:
                try:
                    await RuleTexts(broker).put("mine", RULES)
                except BrokerUnavailableError:
                    return False
                return True

            await until(put, timeout_s=WAIT_S)
            await until(lambda: seen == [0, 1], timeout_s=WAIT_S)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)
