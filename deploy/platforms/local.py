"""The stack that `waggle up` runs on this host, as a platform: supervisord starts and stops its programs."""

from __future__ import annotations

import asyncio
import math
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, TypeVar

from contracts.platform_errors import ChangeTimeoutError, OutOfBoundsError, PlatformAwayError, PlatformBusyError
from contracts.platforms import Instance, InstanceState, Scaled
from deploy.local import logs
from deploy.local.addresses import RunningStack
from deploy.local.errors import AlreadyRunningError
from deploy.local.journal import History, histories
from deploy.local.layout import Layout
from deploy.local.lock import locked
from deploy.local.programs import BROKER, SERVICES
from deploy.local.supervision import ProcessInfo, Supervisor, SupervisorGoneError
from deploy.platforms.slots import at_work, has_run, plan, require_as_seen
from deploy.platforms.stack_dumps import dumped_stacks
from deploy.platforms.targets import require_known, require_within

T = TypeVar("T")

MOST_LINES: Final = 1000
TURN_S: Final = 90.0
"""How long a change waits for another one to be done."""
STOP_SLACK_S: Final = 10.0
"""On top of the time after which the supervisor kills a program that does not stop."""
POLL_S: Final = 0.05

WIDER: Final = "To have room for more, set WAGGLE_MAX_REPLICAS and start the stack again."

_STATES: Final[Mapping[str, InstanceState]] = {
    "STARTING": InstanceState.RUNNING,
    "RUNNING": InstanceState.RUNNING,
    "STOPPING": InstanceState.STOPPING,
    "STOPPED": InstanceState.STOPPED,
    "BACKOFF": InstanceState.RESTARTING,
    "EXITED": InstanceState.RESTARTING,
    "FATAL": InstanceState.FAILED,
}
_ENDED: Final = frozenset({InstanceState.STOPPED, InstanceState.FAILED})


@dataclass(frozen=True, kw_only=True)
class _Slot:
    """A program that may be started, and the service that it belongs to."""

    service: str
    instance: str
    program: str


class LocalPlatform:
    """The stack of a data folder, whoever started it.

    Each service has a bounded number of slots, of which some are started; the broker has none. What a person stops stays
    stopped until it is started again, or the whole stack is: then the configured number runs. `stack.json` tells how many
    are expected.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._supervisor = Supervisor(layout)

    async def list(self) -> tuple[Instance, ...]:
        return await self._seen(await self._slots())

    async def start(self, instance: str) -> Instance:
        async with self._changing():
            slot = await self._slot(instance)
            await self._start(slot)
            return await self._one(slot)

    async def stop(self, instance: str) -> Instance:
        async with self._changing():
            slot = await self._slot(instance)
            await self._require_another(slot)
            await self._stop([slot])
            return await self._one(slot)

    async def restart(
        self, instance: str, *, seen: Instance | None = None, patience_s: float | None = None
    ) -> Instance:
        async with self._changing():
            slot = await self._slot(instance)
            if seen is not None:
                require_as_seen(await self._one(slot), seen)
            await self._stop([slot], patience_s=patience_s)
            await self._start(slot)
            return await self._one(slot)

    async def scale(self, service: str, replicas: int) -> Scaled:
        async with self._changing():
            slots = {slot.instance: slot for slot in await self._slots_of(service)}
            require_within(service, replicas, least=1, most=len(slots), advice=WIDER if _scalable(slots) else "")
            seen = await self._seen(list(slots.values()))
            todo = plan(seen, replicas)
            for instance in todo.start:
                await self._start(slots[instance])
            await self._stop([slots[instance] for instance in todo.stop])
        before = sum(map(at_work, seen))
        return Scaled(service=service, before=before, after=replicas, started=todo.start, stopped=todo.stop)

    async def logs_tail(self, instance: str, lines: int) -> tuple[str, ...]:
        slot = await self._slot(instance)
        return await asyncio.to_thread(logs.last_lines, self._layout, slot.program, max(1, min(lines, MOST_LINES)))

    async def stacks(self, instance: str) -> str:
        slot = await self._slot(instance)
        pid = (await self._processes())[slot.program].pid
        return await asyncio.to_thread(dumped_stacks, pid, self._layout.stacks(slot.service, instance))

    async def _stack(self) -> RunningStack:
        running = await asyncio.to_thread(RunningStack.read, self._layout)
        if running is None:
            raise PlatformAwayError(
                f"No stack runs in {self._layout.data_dir}, or it does not answer: start one with `waggle up`, or set "
                "WAGGLE_DATA_DIR to the folder of one that runs."
            )
        return running

    async def _slots(self) -> Sequence[_Slot]:
        stack = await self._stack()
        return [
            _Slot(service=service, instance=f"{stack.host_prefix}{program}", program=program)
            for service, programs in sorted(stack.slots.items())
            for program in programs
        ]

    async def _slot(self, instance: str) -> _Slot:
        slots = {slot.instance: slot for slot in await self._slots()}
        offered = () if instance in slots else [seen.instance for seen in await self.list() if has_run(seen)]
        require_known(instance, slots, what="instance", never={BROKER}, offered=offered)
        return slots[instance]

    async def _slots_of(self, service: str) -> Sequence[_Slot]:
        slots = await self._slots()
        require_known(service, {slot.service for slot in slots}, what="service", never={BROKER})
        return [slot for slot in slots if slot.service == service]

    async def _seen(self, slots: Sequence[_Slot]) -> tuple[Instance, ...]:
        processes = await self._processes()
        told = await asyncio.to_thread(histories, self._layout.supervisor_log)
        return tuple(_instance(slot, processes[slot.program], told.get(slot.program, History())) for slot in slots)

    async def _one(self, slot: _Slot) -> Instance:
        (seen,) = await self._seen([slot])
        return seen

    async def _start(self, slot: _Slot) -> None:
        await self._await_state(slot, lambda state: state is not InstanceState.STOPPING)
        await self._ask(self._supervisor.start_program, (await self._processes())[slot.program].group, slot.program)

    async def _stop(self, slots: Sequence[_Slot], *, patience_s: float | None = None) -> None:
        """All of them at once. One that is about to be started again is stopped as soon as it was; one that has not ended
        after `patience_s` is killed.
        """
        kill_at = math.inf if patience_s is None else time.monotonic() + patience_s

        async def press(slot: _Slot) -> None:
            await self._ask_to_stop(slot)
            if time.monotonic() >= kill_at:
                await self._kill(slot)

        for slot in slots:
            await self._ask_to_stop(slot)
        for slot in slots:
            await self._await_state(slot, lambda state: state in _ENDED, meanwhile=press)

    async def _kill(self, slot: _Slot) -> None:
        """One that is being stopped, with the processes that it has started, as the supervisor would do it later."""
        process = (await self._processes())[slot.program]
        if process.pid and _state(process) is InstanceState.STOPPING:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def _ask_to_stop(self, slot: _Slot) -> None:
        process = (await self._processes())[slot.program]
        if _STATES.get(process.state) in {InstanceState.RUNNING, InstanceState.RESTARTING}:
            await self._ask(self._supervisor.stop_program, process.group, slot.program)

    async def _await_state(
        self,
        slot: _Slot,
        wanted: Callable[[InstanceState], bool],
        *,
        meanwhile: Callable[[_Slot], Awaitable[None]] | None = None,
    ) -> None:
        bound_s = (await self._ask(self._supervisor.stop_waits))[slot.program] + STOP_SLACK_S
        deadline = time.monotonic() + bound_s
        while not wanted(_state((await self._processes())[slot.program])):
            if time.monotonic() > deadline:
                raise ChangeTimeoutError(
                    f"{slot.instance} did not stop within {bound_s:.0f} s; the supervisor goes on with it. "
                    f"Look at `waggle logs {slot.program}`."
                )
            if meanwhile is not None:
                await meanwhile(slot)
            await asyncio.sleep(POLL_S)

    async def _require_another(self, slot: _Slot) -> None:
        """Raises `OutOfBoundsError` for the last one of a service that the whole stack leans on."""
        if slot.service in SERVICES:
            return
        others = [other for other in await self._slots_of(slot.service) if other != slot]
        if not any(map(at_work, await self._seen(others))):
            raise OutOfBoundsError(
                f"{slot.instance} is the last {slot.service}, and one has to run: `waggle restart {slot.instance}` starts "
                "it anew, `waggle down` stops all.",
                least=1,
                most=len(others) + 1,
            )

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """One change at a time, also of other commands. What is expected is written down even when a change fails half-way."""
        await self._stack()
        with ExitStack() as turn:
            await self._take(turn)
            try:
                yield
            finally:
                with suppress(PlatformAwayError):  # of a stack that is gone nothing is expected
                    await self._write_expected()

    async def _take(self, turn: ExitStack) -> None:
        deadline = time.monotonic() + TURN_S
        while True:
            try:
                turn.enter_context(locked(self._layout))
            except AlreadyRunningError as error:
                if time.monotonic() > deadline:
                    raise PlatformBusyError(f"{error} Nothing was changed.") from error
                await asyncio.sleep(POLL_S)
            else:
                return

    async def _write_expected(self) -> None:
        stack = await self._stack()
        processes = await self._processes()
        expected = {
            service: sum(_state(processes[program]) is not InstanceState.STOPPED for program in programs)
            for service, programs in stack.slots.items()
        }
        changed = replace(stack, expected={service: number for service, number in expected.items() if number})
        await asyncio.to_thread(changed.write, self._layout)

    async def _processes(self) -> dict[str, ProcessInfo]:
        return {process.name: process for process in await self._ask(self._supervisor.processes)}

    async def _ask(self, call: Callable[..., T], *arguments: str) -> T:
        try:
            return await asyncio.to_thread(call, *arguments)
        except SupervisorGoneError as error:
            raise PlatformAwayError(
                f"The stack in {self._layout.data_dir} does not answer: {error}. Look with `waggle status`."
            ) from error


def _scalable(slots: Mapping[str, _Slot]) -> bool:
    """Not the gateway: it has the port."""
    return all(instance != slot.service for instance, slot in slots.items())


def _state(process: ProcessInfo) -> InstanceState:
    return _STATES.get(process.state, InstanceState.FAILED)


def _instance(slot: _Slot, process: ProcessInfo, history: History) -> Instance:
    runs = bool(process.pid)
    at = process.started_at if runs else process.stopped_at
    return Instance(
        service=slot.service,
        instance=slot.instance,
        state=_state(process),
        pid=process.pid or None,
        since=datetime.fromtimestamp(at, UTC) if at else None,
        exit_code=history.exit_code,
        reason=history.reason,
        restarts=history.restarts,
    )
