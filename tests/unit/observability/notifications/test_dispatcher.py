"""Channels as tasks, take-overs and outages, with a clock that the tests put forward."""

from __future__ import annotations

import asyncio

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.errors import PermanentError, TransientError
from contracts.notifications import NotificationEvent, SendOutcome, SendReason
from observability.notifications import history as history_module
from observability.notifications.errors import DeliveryError
from observability.notifications.history import RecentHistory, Scribe
from observability.notifications.metrics import NotificationMetrics
from observability.notifications.outbox import Outbox
from tests.support.waiting import until
from tests.unit.observability.notifications.examples import alert
from tests.unit.observability.notifications.fleet import WAIT_S, Fleet


async def test_an_alert_goes_through_every_channel_and_into_the_history(fleet: Fleet) -> None:
    async with fleet.observer() as observer:
        observer.observe([alert()])
        await until(lambda: len(fleet.history.events) == 2, timeout_s=WAIT_S)

    assert {(e.channel, e.outcome, e.reason) for e in fleet.history.events} == {
        ("mail", SendOutcome.DELIVERED, SendReason.FIRST),
        ("chat", SendOutcome.DELIVERED, SendReason.FIRST),
    }
    assert fleet.history.events[0].firing == (alert().fingerprint,)


async def test_a_channel_that_hangs_does_not_delay_another(fleet: Fleet) -> None:
    fleet.mail.stuck = True
    async with fleet.observer() as observer:
        for number in range(20):
            observer.observe([alert(f"A{number}")])
        await until(lambda: len(fleet.chat.got) == 20, timeout_s=WAIT_S)

    assert fleet.mail.attempts == 1


async def test_what_failed_is_tried_again_after_a_pause(fleet: Fleet) -> None:
    fleet.mail.errors = [DeliveryError("down"), DeliveryError("still down", in_doubt=True)]
    async with fleet.observer() as observer:
        observer.observe([alert()])
        await until(lambda: fleet.mail.attempts == 1, timeout_s=WAIT_S)
        for pause in (1, 2):
            fleet.clock.forward(seconds=pause)
            await until(lambda: fleet.mail.attempts > pause, timeout_s=WAIT_S)  # noqa: B023
        await until(lambda: "mail" in {e.channel for e in fleet.history.events}, timeout_s=WAIT_S)

    (event,) = [e for e in fleet.history.events if e.channel == "mail"]
    assert (event.outcome, event.attempts) == (SendOutcome.DELIVERED, 3)


async def test_what_is_refused_is_tried_again_at_the_groups_next_turn(fleet: Fleet) -> None:
    fleet.mail.errors = [DeliveryError("HTTP 400", final=True)]
    async with fleet.observer() as observer:
        observer.observe([alert()])
        await until(lambda: len(fleet.history.events) == 2, timeout_s=WAIT_S)
        fleet.clock.forward(minutes=5)
        await until(lambda: len(fleet.mail.got) == 1, timeout_s=WAIT_S)

    assert next(e.outcome for e in fleet.history.events if e.channel == "mail") is SendOutcome.REFUSED
    assert len(fleet.chat.got) == 1


async def test_a_defect_of_one_channel_does_not_take_the_others_along(fleet: Fleet) -> None:
    fleet.mail.errors = [RuntimeError("a defect")]
    async with fleet.observer() as observer:
        observer.observe([alert()])
        await until(lambda: fleet.chat.got and fleet.mail.attempts, timeout_s=WAIT_S)
        fleet.clock.forward(seconds=1)
        await until(lambda: fleet.mail.got, timeout_s=WAIT_S)


async def test_a_clock_that_jumps_is_noticed(fleet: Fleet) -> None:
    async with fleet.observer() as observer:
        observer.observe([alert()])
        await until(lambda: len(fleet.mail.got) == 1, timeout_s=WAIT_S)
        fleet.clock.forward(hours=4, minutes=1)
        await until(lambda: len(fleet.mail.got) == 2, timeout_s=WAIT_S)

    assert fleet.mail.got[1].reason is SendReason.REPEATED


class TestAbsence:
    async def test_a_store_that_is_away_keeps_nobody_from_being_told(self, fleet: Fleet) -> None:
        async with fleet.observer() as observer:
            fleet.store.is_away = True
            observer.observe([alert()])
            await until(lambda: fleet.mail.got and fleet.chat.got, timeout_s=WAIT_S)
            assert fleet.stored() == []
            fleet.store.is_away = False
            await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)

    async def test_a_store_that_refuses_does_not_either(self, fleet: Fleet) -> None:
        async with fleet.observer() as observer:
            fleet.store.refuses = True
            observer.observe([alert()])
            await until(lambda: fleet.mail.got and fleet.chat.got, timeout_s=WAIT_S)
            observer.observe([alert("Later")])
            await until(lambda: len(fleet.mail.got) == 2, timeout_s=WAIT_S)

    async def test_a_store_that_hangs_does_not_either(self, fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("observability.notifications.records.WRITE_TIMEOUT_S", 0.05)
        async with fleet.observer() as observer:
            fleet.store.hangs = True
            observer.observe([alert()])
            await until(lambda: fleet.mail.got and fleet.chat.got, timeout_s=WAIT_S)

    async def test_a_start_without_the_store_is_refused(self, fleet: Fleet) -> None:
        async with fleet.observer() as observer:
            observer.observe([alert()])
            await until(lambda: fleet.is_stored_as_told("mail", "chat"), timeout_s=WAIT_S)
        fleet.store.is_away = True

        with pytest.raises(TransientError):
            await fleet.dispatcher(token=2).start()

    async def test_a_history_that_is_away_is_told_later(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(history_module, "RETRY_S", 0.0)

        class Away(RecentHistory):
            away = True

            async def keep(self, event: NotificationEvent) -> None:
                if self.away:
                    raise TransientError("away")
                await super().keep(event)

        history = Away()
        scribe = Scribe(history)
        running = asyncio.create_task(scribe.run())
        scribe.note(event(1))
        await asyncio.sleep(0)
        history.away = False
        await until(lambda: len(history.events) == 1, timeout_s=WAIT_S)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    async def test_what_the_history_refuses_does_not_hold_up_the_rest(self) -> None:
        class Choosy(RecentHistory):
            async def keep(self, event: NotificationEvent) -> None:
                if event.id == "e0":
                    raise PermanentError("not this one")
                await super().keep(event)

        history = Choosy()
        scribe = Scribe(history)
        for number in range(2):
            scribe.note(event(number))
        await scribe.flush()

        assert [each.id for each in history.events] == ["e1"]
        assert scribe.lost == 1

    def test_what_waits_for_the_history_is_bounded_and_what_is_lost_is_counted(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(history_module, "MAX_WAITING", 3)
        scribe = Scribe(RecentHistory())
        for number in range(5):
            scribe.note(event(number))

        assert scribe.lost == 2
        assert [each.id for each in scribe._waiting] == ["e2", "e3", "e4"]


async def test_a_full_queue_is_noted_and_its_groups_have_another_turn(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "observability.notifications.dispatcher.Outbox", lambda jitter: Outbox(jitter=jitter, capacity=1)
    )
    async with fleet.observer() as observer:
        observer.observe([alert(f"A{number}") for number in range(3)])
        await until(lambda: SendOutcome.QUEUE_FULL in {e.outcome for e in fleet.history.events}, timeout_s=WAIT_S)
        while len({n.group_key for n in fleet.mail.got}) < 3:
            before = fleet.mail.attempts
            fleet.clock.forward(minutes=5)
            await until(lambda: fleet.mail.attempts > before, timeout_s=WAIT_S)  # noqa: B023


async def test_figures_are_told_by_channel(fleet: Fleet) -> None:
    reader = InMemoryMetricReader()
    provider = MeterProvider(metric_readers=[reader], shutdown_on_exit=False)
    dispatcher = fleet.dispatcher(metrics=NotificationMetrics(provider.get_meter("waggle")))
    await dispatcher.start()
    running = asyncio.create_task(dispatcher.run())
    dispatcher.observe([alert()])
    await until(lambda: len(fleet.history.events) == 2, timeout_s=WAIT_S)
    data = reader.get_metrics_data()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    provider.shutdown()

    assert data is not None
    names = {m.name for r in data.resource_metrics for s in r.scope_metrics for m in s.metrics}
    assert names == {
        "waggle.notification.outcomes",
        "waggle.notification.attempt.duration",
        "waggle.notification.waiting",
        "waggle.notification.groups",
    }


def event(number: int) -> NotificationEvent:
    return NotificationEvent(
        id=f"e{number}", channel="mail", receiver="team", group_key="g", outcome=SendOutcome.DELIVERED, attempts=1
    )
