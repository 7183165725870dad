"""What a worker can be ordered to do."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import structlog

from contracts.control import MOST_EVIDENCE_BYTES, ControlAction, ControlOrder, ControlOutcome
from contracts.health import ProcessState
from messaging.activity import Activity
from messaging.clock import BrokerClock
from messaging.control.office import Done, Duty, cannot
from observability.stacks import StackFile, stacks

Forget = Callable[[], int]
"""Forgets what a process keeps in its memory; how many entries there were."""
Reread = tuple[str, Callable[[], Awaitable[None]]]
"""What is read again, and how."""

log = structlog.get_logger(__name__)


class Intake(Protocol):
    """Where new work comes from."""

    @property
    def paused(self) -> bool: ...

    async def pause(self) -> None:
        """Take nothing more, until `resume()`."""
        ...

    def resume(self) -> None: ...


class WorkerDuties:
    """Does to one worker what it is ordered to. `consumers` are the names of those that it takes work from."""

    def __init__(
        self,
        intake: Intake,
        activity: Activity,
        clock: BrokerClock,
        stack_file: StackFile,
        *,
        state: Callable[[], ProcessState],
        consumers: Callable[[], Sequence[str]],
        caches: Sequence[Forget],
        rereads: Sequence[Reread],
    ) -> None:
        self._intake = intake
        self._activity = activity
        self._clock = clock
        self._stack_file = stack_file
        self._state = state
        self._consumers = consumers
        self._caches = caches
        self._rereads = rereads

    def all(self) -> Mapping[ControlAction, Duty]:
        return {
            ControlAction.PAUSE: self._pause,
            ControlAction.RESUME: self._resume,
            ControlAction.DRAIN: self._drain,
            ControlAction.DUMP_STACKS: self._dump_stacks,
            ControlAction.CLEAR_CACHE: self._clear_cache,
            ControlAction.RELOAD: self._reload,
        }

    async def _pause(self, _: ControlOrder) -> Done:
        if (refusal := self._unable()) is not None:
            return refusal
        if self._intake.paused:
            return Done(detail="it was paused already")
        await self._intake.pause()
        return self._unless_resumed(f"it takes nothing more from {self._queues()}; {self._in_hand()}")

    async def _resume(self, _: ControlOrder) -> Done:
        if (refusal := self._unable()) is not None:
            return refusal
        if not self._intake.paused:
            return Done(detail="it was not paused")
        self._intake.resume()
        return Done(detail=f"it takes work from {self._queues()} again")

    async def _drain(self, order: ControlOrder) -> Done:
        if (refusal := self._unable()) is not None:
            return refusal
        await self._intake.pause()
        left_s = max(0.0, self._clock.remaining_s(order.expires_at))
        idle = await self._activity.wait_idle(timeout_s=left_s)
        if not idle and self._intake.paused:
            left = f"it stays paused; {self._in_hand()}: drain again to wait on, or resume"
            return Done(detail=left, outcome=ControlOutcome.UNFINISHED)
        return self._unless_resumed(f"it takes nothing more from {self._queues()}, and has nothing in hand")

    async def _dump_stacks(self, order: ControlOrder) -> Done:
        text = stacks()
        heading = f"{self._clock.now().isoformat()} {self._in_hand()}, ordered by {order.principal}: {order.reason}\n"
        try:
            await asyncio.to_thread(self._stack_file.append, f"{heading}{text}\n")
            where = f"all of them are in {self._stack_file.path.absolute()} on its host"
        except OSError as error:  # the answer has them all the same
            log.warning("stacks not written to a file", file=str(self._stack_file.path), reason=str(error))
            where = f"no file could be written ({error.strerror})"
        evidence, cut = _cut(text)
        return Done(detail=f"{'the beginning of its stacks' if cut else 'its stacks'}; {where}", evidence=evidence)

    async def _clear_cache(self, _: ControlOrder) -> Done:
        if not self._caches:
            return cannot("it keeps no cache in its memory")
        entries = sum(forget() for forget in self._caches)
        return Done(detail=f"{entries} entries of its memory are forgotten; what is shared stays")

    async def _reload(self, _: ControlOrder) -> Done:
        if not self._rereads:
            return cannot("it has nothing that is read again: settings are read at its start, so start it again")
        for _what, reread in self._rereads:
            await reread()
        return Done(
            detail=f"read again: {', '.join(what for what, _ in self._rereads)}; settings are read at its start"
        )

    def _unless_resumed(self, detail: str) -> Done:
        if self._intake.paused:
            return Done(detail=detail)
        return Done(detail="somebody had it go on meanwhile", outcome=ControlOutcome.UNFINISHED)

    def _unable(self) -> Done | None:
        if self._state() is ProcessState.DRAINING:
            return cannot("it is about to end")
        if not self._consumers():
            return cannot("it takes no work from queues")
        return None

    def _queues(self) -> str:
        return ", ".join(self._consumers())

    def _in_hand(self) -> str:
        number = self._activity.in_flight
        return f"{number} {'message' if number == 1 else 'messages'} in hand"


def _cut(text: str) -> tuple[str, bool]:
    """As much of the text as an answer takes, and whether something is missing."""
    data = text.encode(errors="replace")
    return data[:MOST_EVIDENCE_BYTES].decode(errors="ignore"), len(data) > MOST_EVIDENCE_BYTES
