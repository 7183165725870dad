"""What an observer does while another one leads: it records what rules record, and tells nobody anything."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from observability.alerting import Evaluations, GroupKey, Outcome
from observability.rules import RecordingRule, RuleGroup
from workers.observer.term import Means


class Standby:
    """Keeps the series of recording rules, so that who takes over finds a past in them: an alert on the last hour of a recorded
    series would otherwise have to wait for an hour.
    """

    def __init__(self, means: Means) -> None:
        self._means = means
        self._recording: dict[GroupKey, tuple[RuleGroup, RuleGroup]] = {}
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Record from now on, unless it does. Raises what ended it before."""
        if self._task is not None and self._task.done():
            self._task.result()
        if self._task is None:
            self._task = asyncio.create_task(self._record(), name="recording rules")

    async def end(self) -> None:
        """Stop, and leave the series as they are: who leads goes on with them."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _record(self) -> None:
        evaluations = Evaluations(
            source=self._means.series,
            sink=self._means.series,
            clock=self._means.broker.clock.now,
            handle=_nothing,
            threads=self._means.threads,
            interval_ms=self._means.interval_ms,
        )
        await self._means.rules.known.wait()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(evaluations.run(), name="recording rules")
            while True:
                changed = self._means.rules.changed
                evaluations.apply(self._groups())
                await changed.wait()

    def _groups(self) -> list[RuleGroup]:
        """The groups without their alerts; what has not changed is the same object as before."""
        known, self._recording = self._recording, {}
        for group in self._means.rules.book.groups:
            key = GroupKey.of(group)
            before = known.get(key)
            recording = before[1] if before is not None and before[0] is group else _recording(group)
            if recording.rules:
                self._recording[key] = (group, recording)
        return [recording for _, recording in self._recording.values()]


def _recording(group: RuleGroup) -> RuleGroup:
    return replace(group, rules=tuple(rule for rule in group.rules if isinstance(rule, RecordingRule)))


async def _nothing(_: Outcome) -> None:
    return
