"""One time of leading: from taking over what another observer left, to the end of the lease."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import structlog

from contracts.alerts import AlertEvent
from contracts.errors import PermanentError, TransientError, WaggleError
from messaging.alert_events import AlertEvents
from messaging.alert_states import BucketStates
from messaging.broker import Broker
from messaging.silences import SilenceBook
from observability.alerting import (
    AlertBoard,
    Evaluations,
    EvaluationThreads,
    GroupKey,
    KeptStates,
    Outcome,
    RuleMetrics,
    ended,
    events_of,
)
from observability.notifications import FencedError
from workers.observer.announcing import Announcer
from workers.observer.intake import Series
from workers.observer.rhythm import Rhythm
from workers.observer.rules import RuleWatch

PUBLISHED_AT_ONCE: Final = 64

log = structlog.get_logger(__name__)

Duty = Callable[[int], Awaitable[object]]
"""What else is done by who leads, under its fencing token, until cancelled. One that fails is begun again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What an observer leads with; it outlives every term. Before `warm_at` (monotonic) not everybody has been heard yet."""

    broker: Broker
    series: Series
    rules: RuleWatch
    board: AlertBoard
    announcer: Announcer
    metrics: RuleMetrics
    threads: EvaluationThreads
    rhythm: Rhythm
    interval_ms: int
    warm_at: float
    duties: Sequence[Duty] = ()


class Term:
    """Evaluates, and tells what came of it: an alert's state and its event are stored together under the fencing token, then
    people are told and the event is published, and only then it counts as told.
    """

    def __init__(self, means: Means, *, token: int) -> None:
        self._means = means
        self._token = token
        self._states = KeptStates(BucketStates(means.broker), token=token)
        self._events = AlertEvents(means.broker)
        self._silences = SilenceBook(means.broker)
        self._evaluations = Evaluations(
            source=means.series,
            sink=means.series,
            clock=means.broker.clock.now,
            handle=self._handle,
            threads=means.threads,
            metrics=means.metrics,
            interval_ms=means.interval_ms,
            restore=self._states.state,
        )

    async def run(self) -> None:
        """Until cancelled. Raises `FencedError` when another observer leads, and `TransientError` when what is stored cannot
        be read.
        """
        await self._take_over()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_up(), name="changes of rules")
            tasks.create_task(self._evaluations.run(), name="rules")
            tasks.create_task(self._means.announcer.run(self._token, self._everything), name="notifications")
            tasks.create_task(self._remind(), name="reminders")
            tasks.create_task(self._sweep(), name="silences that are over")
            for duty in self._means.duties:
                tasks.create_task(self._kept_up(duty), name="duty")

    async def _take_over(self) -> None:
        await self._means.rules.known.wait()
        groups = {GroupKey.of(group): group for group in self._means.rules.book.groups}
        states = await self._states.claim(groups.keys())
        for key, group in groups.items():
            self._means.board.put(Outcome(group=group, state=states.get(key), transitions=()))
        log.info("observer takes over", groups=len(groups), stored=len(states))

    async def _keep_up(self) -> None:
        await self._settle_all()
        # What is not heard yet is not to be taken for absent, nor an alert for over.
        await asyncio.sleep(self._means.warm_at - time.monotonic())
        while True:
            changed = self._means.rules.changed
            self._evaluations.apply(self._means.rules.book.groups)
            await self._settle_all()
            await changed.wait()

    async def _handle(self, outcome: Outcome) -> None:
        self._means.board.put(outcome)
        # Thousands at once take a second.
        events = await asyncio.to_thread(events_of, outcome.transitions) if outcome.transitions else []
        self._states.put(outcome.key, outcome.state, events)
        for event in events:
            log.info("alert", alertname=event.name, severity=event.severity, state=event.state, labels=event.labels)
        stored = await self._stored(outcome.key)
        self._means.announcer.observe(events)  # also of what could not be stored: when in doubt, people are told
        if stored:
            await self._publish(outcome.key)

    async def _remind(self) -> None:
        while True:
            await asyncio.sleep(self._means.rhythm.remind_s)
            self._states.forget_departed(self._means.broker.clock.now())
            self._means.announcer.observe(await asyncio.to_thread(self._everything))
            await self._settle_all()

    def _everything(self) -> list[AlertEvent]:
        """All that fires, and what ended within 15 minutes."""
        return [*self._means.board.events(), *self._states.departed()]

    async def _settle_all(self) -> None:
        """Publish what waits for it, and end what was left by groups that are no more."""
        wanted = {GroupKey.of(group) for group in self._means.rules.book.groups}
        evaluated = self._evaluations.keys
        for key in self._states.keys:
            if key not in wanted and key not in evaluated and self._means.rules.book.successful:
                self._end(key)
            if self._states.untold(key) and await self._stored(key):
                await self._publish(key)
            if key not in wanted and key not in evaluated and self._states.is_over(key) and await self._stored(key):
                self._states.forget(key)

    def _end(self, key: GroupKey) -> None:
        state = self._states.state(key)
        if state is None:
            return
        now_ms = self._means.broker.clock.now_ms()
        alerts = [alert for rule in state.rules for alert in rule.alerts]
        ends = [event for alert in alerts if (event := ended(alert, at_ms=now_ms)) is not None]
        self._states.put(key, None, ends)
        self._means.board.drop(key)
        self._means.announcer.observe(ends)
        log.info("alerts of rules that are no more have ended", group=str(key), alerts=len(ends))

    async def _stored(self, key: GroupKey) -> bool:
        """Store a group. False when it may not be stored: it is again the next time. Raises `FencedError`."""
        try:
            await self._states.write(key)
        except FencedError:
            raise
        except WaggleError as error:
            log.warning("state of rules not stored", group=str(key), reason=str(error))
            self._means.metrics.unstored(key)
            return isinstance(error, PermanentError)  # it never will be, which is no reason to keep its events back
        return True

    async def _publish(self, key: GroupKey) -> None:
        untold = self._states.untold(key)
        for start in range(0, len(untold), PUBLISHED_AT_ONCE):
            part = untold[start : start + PUBLISHED_AT_ONCE]
            told = await asyncio.gather(*(self._published(event) for event in part))
            for event in (event for event, done in zip(part, told, strict=True) if done):
                self._states.told(key, event)
            if not all(told):
                return
        if untold:
            await self._stored(key)

    async def _published(self, event: AlertEvent) -> bool:
        """Publish an event. False when it may not be published: it is again the next time."""
        try:
            await self._events.publish(event)
        except TransientError as error:
            log.warning("alert not published yet", event_id=event.id, reason=str(error))
            return False
        except WaggleError as error:  # it would be refused for ever
            log.error("alert cannot be published", event_id=event.id, reason=str(error))  # noqa: TRY400 (it says all)
        return True

    async def _sweep(self) -> None:
        while True:
            try:
                await self._silences.sweep()
            except TransientError as error:
                log.debug("silences not swept", reason=str(error))
            await asyncio.sleep(self._means.rhythm.sweep_s)

    async def _kept_up(self, duty: Duty) -> None:
        """Begin a duty again whenever it ends: whatever is wrong with it, rules are evaluated and people are told."""
        while True:
            try:
                await duty(self._token)
            except Exception:
                log.exception("a duty of the observer failed, and is begun again", in_s=self._means.rhythm.candidacy_s)
            await asyncio.sleep(self._means.rhythm.candidacy_s)
