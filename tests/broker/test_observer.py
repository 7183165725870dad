"""The observer on a real broker: from a series to a person, over changes of rules, and with a standby."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path

import pytest

from contracts.alerts import AlertEvent, AlertState
from contracts.silences import LabelMatcher, MatchOperator
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.alert_events import AlertEvents
from messaging.alert_states import BucketStates
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.notifications import BucketRecords
from messaging.rule_texts import RuleTexts
from messaging.silences import SilenceBook, new_silence
from observability.alerting import RuleGroupRecord, events_of
from observability.promql import parse
from observability.rules import AlertState as RuleAlertState
from tests.support.observers import ALWAYS, DOWN, NOTHING, Observer, notification_config, observing, table, told
from tests.support.processes import Running, started
from tests.support.receivers import HttpReceiver
from tests.support.waiting import until
from tests.unit.observability.alerting.groups import House

WAIT_S = 60.0
MODULE = "tests.support.observer_process"


@pytest.fixture(name="table")
def short_leases() -> Topology:
    return table()


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with HttpReceiver.running() as receiver:
        yield receiver


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    file = tmp_path / "rules.yaml"
    file.write_text(DOWN, encoding="utf-8")
    return file


@pytest.fixture
def notify(tmp_path: Path, receiver: HttpReceiver) -> Path:
    file = tmp_path / "notifications.yaml"
    file.write_text(notification_config(receiver), encoding="utf-8")
    return file


@pytest.fixture
async def observer(broker: Broker, nats_server: NatsServer, rules: Path, notify: Path) -> AsyncIterator[Observer]:
    async with observing(nats_server.url, rules=rules, notify=notify) as observer:
        await until(lambda: observer.leads, timeout_s=WAIT_S)
        yield observer


async def states(broker: Broker) -> list[tuple[str, AlertState]]:
    """The history of alerts."""
    return [(event.name, event.state) for event in (await AlertEvents(broker).alerts()).events]


async def history(broker: Broker, *, changes: int) -> tuple[AlertEvent, ...]:
    """The events of so many changes; people may be told of one before it is published."""

    async def is_there() -> bool:
        return len((await AlertEvents(broker).alerts()).events) >= changes

    await until(is_there, timeout_s=WAIT_S)
    return (await AlertEvents(broker).alerts()).events


async def known_to_be_told(broker: Broker) -> None:
    """Wait until it is stored that the channel was told of all that fires: cut off before, it would be told again."""

    async def is_stored() -> bool:
        records = [each.record for each in await BucketRecords(broker).load() if each.record]
        alerts = [alert for record in records for told in record.told.values() for alert in told.values()]
        return bool(alerts) and all(alert.at is not None for alert in alerts)

    await until(is_stored, timeout_s=WAIT_S)


async def test_from_a_series_to_a_person_and_back(observer: Observer, broker: Broker, receiver: HttpReceiver) -> None:
    observer.values["down"] = 1
    await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)
    (shown,) = observer.parts.board.alerts()
    assert (shown.alert.state, shown.severity) == (RuleAlertState.FIRING, "critical")
    observer.values["down"] = 0
    await until(lambda: told(receiver) == [("firing", "Down"), ("resolved", "Down")], timeout_s=WAIT_S)

    began, ended = await history(broker, changes=2)
    assert (began.state, ended.state) == (AlertState.FIRING, AlertState.RESOLVED)
    assert began.starts_at == ended.starts_at
    assert began.created_at == began.starts_at, "the broker's time"

    async def sends_are_kept() -> bool:
        sends = await AlertEvents(broker).notifications(fingerprint=began.fingerprint)
        return [event.outcome for event in sends.events] == ["delivered", "delivered"]

    await until(sends_are_kept, timeout_s=WAIT_S)


async def test_rules_change_while_alerts_go_on(
    observer: Observer, broker: Broker, rules: Path, tmp_path: Path, receiver: HttpReceiver
) -> None:
    """By file, by text, and a faulty one of each; what fires is told once."""
    texts, book = RuleTexts(broker), observer.parts.rules.book
    observer.values["down"] = 1
    await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)
    since = observer.parts.board.alerts()[0].alert.fired_at_ms

    write(rules, "groups: [{name: fleet, rules: [{alert: Down, expr: 'down >'}]}]")
    await until(lambda: book.faults, timeout_s=WAIT_S)
    assert (book.faults[0].file, book.faults[0].line) == (str(rules), 1)
    write(rules, DOWN.replace("> 0", "> 0.5"))
    await until(lambda: book.successful, timeout_s=WAIT_S)

    await texts.put("more", ALWAYS.replace("fleet", "more").replace("Down", "Extra"))
    await until(lambda: ("firing", "Extra") in told(receiver), timeout_s=WAIT_S)
    await broker.publish_bytes("$KV.config.rules.more", b"groups: 7", stream="KV_config")  # not as `put` would
    await until(lambda: [fault.file for fault in book.faults] == ["config/rules.more"], timeout_s=WAIT_S)
    assert len(book.groups) == 2
    assert await texts.remove("more")
    await until(lambda: ("resolved", "Extra") in told(receiver), timeout_s=WAIT_S)

    still = {each.alert.labels["alertname"]: each.alert for each in observer.parts.board.alerts()}
    assert still["Down"].fired_at_ms == since
    assert told(receiver).count(("firing", "Down")) == 1
    write(rules, NOTHING)
    await until(lambda: ("resolved", "Down") in told(receiver), timeout_s=WAIT_S)
    assert sorted((event.name, event.state) for event in await history(broker, changes=4)) == [
        ("Down", "firing"), ("Down", "resolved"), ("Extra", "firing"), ("Extra", "resolved"),
    ]  # fmt: skip

    async def nothing_is_kept() -> bool:
        kept = [each.record for each in await BucketStates(broker).load()]
        return all(record and record.state is None and not record.untold for record in kept)

    await until(nothing_is_kept, timeout_s=WAIT_S)


async def test_what_is_silenced_is_known_and_not_told(
    observer: Observer, broker: Broker, receiver: HttpReceiver, notify: Path
) -> None:
    book, now = SilenceBook(broker), broker.clock.now()
    matcher = LabelMatcher(name="alertname", operator=MatchOperator.EQUAL, value="Down")
    silence = await book.create(
        new_silence(matchers=[matcher], starts_at=now, ends_at=now + timedelta(hours=1), principal="ann")
    )
    await until(lambda: observer.parts.silences.silencing({"alertname": "Down"}, broker.clock.now()), timeout_s=WAIT_S)
    observer.values["down"] = 1
    await until(observer.parts.board.alerts, timeout_s=WAIT_S)
    await until(lambda: states(broker), timeout_s=WAIT_S)
    assert told(receiver) == []

    write(notify, "route: {receiver: nobody}")  # refused: the one before stays
    await until(lambda: observer.parts.announcer.problems, timeout_s=WAIT_S)
    await book.expire(silence.id)
    await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)

    await known_to_be_told(broker)
    changed = notification_config(receiver).replace("/hook'", "/other'")
    write(notify, changed)
    await until(lambda: not observer.parts.announcer.problems, timeout_s=WAIT_S)
    observer.values["down"] = 0
    await until(lambda: ("resolved", "Down") in told(receiver), timeout_s=WAIT_S)
    assert told(receiver) == [("firing", "Down"), ("resolved", "Down")]
    assert [each.path for each in receiver.received] == ["/hook", "/other"]


async def test_what_the_observer_before_left_is_told_and_ended(
    broker: Broker, nats_server: NatsServer, rules: Path, receiver: HttpReceiver, notify: Path
) -> None:
    """It died between storing an alert and telling it, and its rule is no more."""
    house = House()
    left = house.evaluated(a=7)
    untold = events_of(left.transitions)
    await BucketStates(broker).write(
        RuleGroupRecord(token=1, file="gone.yaml", group="fleet", state=left.state, untold=tuple(untold)), revision=0
    )
    async with observing(nats_server.url, rules=rules, notify=notify):

        async def all_is_told() -> bool:
            return await states(broker) == [("Hot", "firing"), ("Hot", "resolved")]

        await until(all_is_told, timeout_s=WAIT_S)
    began, _ = (await AlertEvents(broker).alerts()).events
    assert began == untold[0]
    assert told(receiver) == [], "nobody was told that it fires"


async def test_a_standby_records_and_tells_nothing_until_it_leads(
    observer: Observer, broker: Broker, nats_server: NatsServer, rules: Path, notify: Path, receiver: HttpReceiver
) -> None:
    write(rules, DOWN.replace("rules: [", "rules: [{record: 'down:double', expr: down * 2}, "))
    async with observing(nats_server.url, rules=rules, notify=notify, instance="observer-2") as standby:
        standby.values["down"] = 1
        recorded = parse("down:double")

        def value() -> list[float]:
            series, now = standby.parts.intake.series, broker.clock.now()
            return [each.value for each in recorded.instant(series, at_ms=int(now.timestamp() * 1000)).samples]

        await until(lambda: value() == [2], timeout_s=WAIT_S)
        assert not standby.leads
        assert (await states(broker), standby.parts.board.groups, told(receiver)) == ([], (), [])
        observer.app.stop()
        await until(lambda: standby.leads, timeout_s=WAIT_S)
        await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)


async def test_what_fires_goes_on_after_the_broker_was_away_for_longer_than_a_lease(
    observer: Observer, broker: Broker, nats_server: NatsServer, receiver: HttpReceiver
) -> None:
    observer.values["down"] = 1
    await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)
    await known_to_be_told(broker)
    nats_server.kill()
    await until(lambda: not observer.leads, timeout_s=WAIT_S)
    nats_server.start()
    await until(lambda: observer.leads, timeout_s=WAIT_S)
    observer.values["down"] = 0
    await until(lambda: ("resolved", "Down") in told(receiver), timeout_s=WAIT_S)

    assert told(receiver) == [("firing", "Down"), ("resolved", "Down")]
    await until(lambda: broker.is_connected, timeout_s=WAIT_S)
    began, ended = await history(broker, changes=2)
    assert (began.state, ended.state, ended.starts_at) == ("firing", "resolved", began.starts_at)


async def test_a_standby_goes_on_where_the_leader_stopped_or_died(
    broker: Broker, nats_server: NatsServer, rules: Path, notify: Path, receiver: HttpReceiver
) -> None:
    """The leader is stopped, continued after another took over, and the other is killed: one beginning, one end, each told."""
    write(rules, ALWAYS)

    def begin(instance: str) -> AbstractAsyncContextManager[Running]:
        return started(
            MODULE,
            WAGGLE_NATS_URL=nats_server.url,
            WAGGLE_INSTANCE=instance,
            WAGGLE_RULES=str(rules),
            WAGGLE_SHIPPED_RULES="off",
            WAGGLE_NOTIFY_CONFIG=str(notify),
            WAGGLE_NOTIFY_ALLOWED_NETWORKS="127.0.0.1/32",
        )

    async def token() -> int:
        return max((each.record.token for each in await BucketStates(broker).load() if each.record), default=0)

    async with begin("one") as one:
        await until(lambda: told(receiver) == [("firing", "Down")], timeout_s=WAIT_S)
        await known_to_be_told(broker)
        first = await token()
        async with begin("two") as two:
            await until(lambda: said(two, "ready"), timeout_s=WAIT_S)
            one.signal(signal.SIGSTOP)
            await until(lambda: said(two, "observer takes over"), timeout_s=WAIT_S)
            await until(lambda: _greater(token, first), timeout_s=WAIT_S)
            second = await token()
            one.signal(signal.SIGCONT)
            await until(lambda: said(one, "observer does not lead"), timeout_s=WAIT_S)
            assert await token() == second, "a leader that was stopped writes nothing"
            two.signal(signal.SIGKILL)
            await two.ends()
        await until(lambda: _greater(token, second), timeout_s=WAIT_S)
        write(rules, NOTHING)
        await until(lambda: ("resolved", "Down") in told(receiver), timeout_s=WAIT_S)
        one.signal(signal.SIGTERM)
        assert await one.ends() == 0

    events = await history(broker, changes=2)
    assert [(event.state, event.starts_at) for event in {event.id: event for event in events}.values()] == [
        ("firing", events[0].starts_at),
        ("resolved", events[0].starts_at),
    ]
    assert told(receiver) == [("firing", "Down"), ("resolved", "Down")]


def write(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")


def said(process: Running, event: str) -> bool:
    return any(f'"{event}"' in line for line in [*process.lines, *process.errors])


async def _greater(token: Callable[[], Awaitable[int]], than: int) -> bool:
    return await token() > than


@pytest.mark.parametrize(
    "failure", [BrokerUnavailableError("what was done cannot be read"), AssertionError("a mistake")]
)
async def test_a_duty_that_fails_keeps_nobody_from_being_told(
    failure: Exception, broker: Broker, nats_server: NatsServer, rules: Path, notify: Path, receiver: HttpReceiver
) -> None:
    terms: list[int] = []

    async def failing(token: int) -> None:
        terms.append(token)
        raise failure

    async with observing(nats_server.url, rules=rules, notify=notify, duty=failing) as observer:
        await until(lambda: len(terms) >= 3, timeout_s=WAIT_S)
        observer.values["down"] = 1
        await until(lambda: ("firing", "Down") in told(receiver), timeout_s=WAIT_S)
        assert len(set(terms)) == 1
        assert observer.leads
