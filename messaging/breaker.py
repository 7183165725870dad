"""A circuit breaker: tells a backend that is away from a message that it fails on."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType

import structlog

from contracts.errors import PermanentError
from messaging.errors import BackendAwayError, HandedBackError

SHORTEST_PAUSE_SHARE = 0.5
"""By chance a pause is shortened to at least this share, so that a fleet does not ask all at once."""

Look = Callable[[], Awaitable[object]]
"""Does the least that a backend's calls need of it. Its result does not matter; it raises what these calls raise."""

log = structlog.get_logger(__name__)


class BreakerState(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half_open"
    OPEN = "open"


@dataclass(frozen=True, kw_only=True)
class Probing:
    """How a backend is looked at: a pause doubles from `first_pause_s` to `max_pause_s`, a look takes `timeout_s` at most.

    Its return is noticed within `max_pause_s + timeout_s`.
    """

    first_pause_s: float = 0.5
    max_pause_s: float = 5.0
    timeout_s: float = 5.0


class Breaker:
    """Guards the calls to one backend.

        async with breaker:
            await index.upsert(rows)

    The backend's own look decides. After a failed call it is taken: if it fails too the backend is away, the breaker
    opens, and this call and all others raise `BackendAwayError`, on which a worker holds the message. If it passes the
    failure is the message's own and is raised as it is, so a message that a backend fails on opens nothing, even alone.
    While the breaker is open it is taken again, one at a time; the first that passes closes it. `PermanentError`s and
    cancellations say nothing about a backend.
    """

    def __init__(
        self,
        name: str,
        look: Look,
        *,
        probing: Probing | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._look = look
        self._probing = probing or Probing()
        self._monotonic = monotonic
        self._sleep = sleep
        self._jitter = jitter
        self._state = BreakerState.CLOSED
        self._was_away = False
        self._reason = ""
        self._pause_s = 0.0
        self._closed_at = -float("inf")
        self._proved_at = -float("inf")
        self._released = asyncio.Event()
        self._looking = asyncio.Lock()
        self._opened = asyncio.Event()
        self._wake = asyncio.Event()
        self._listeners: list[Callable[[Breaker], None]] = []

    @property
    def state(self) -> BreakerState:
        return self._state

    @property
    def reason(self) -> str:
        """What the last failed look or call said; empty when there was none."""
        return self._reason

    @property
    def proved_ago_s(self) -> float:
        """How long ago a call or a look showed that the backend works; infinite before the first."""
        return self._monotonic() - self._proved_at

    def proved(self) -> None:
        """The backend has just done what is wanted of it, for somebody who does not call through the breaker."""
        self._proved_at = self._monotonic()

    def on_change(self, listener: Callable[[Breaker], None]) -> None:
        """Call `listener` after every change of state."""
        self._listeners.append(listener)

    async def __aenter__(self) -> None:
        if self._state is not BreakerState.CLOSED:
            raise BackendAwayError(self, self._reason, tried=False)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            self.proved()
            return
        if not isinstance(error, Exception) or isinstance(error, PermanentError | BackendAwayError):
            return
        if await self._is_away():
            raise BackendAwayError(self, self._reason, tried=True) from error

    def open(self, error: Exception) -> None:
        """Open without a look, for errors that no message can be the cause of."""
        if self._state is not BreakerState.CLOSED:
            return
        self._reason = f"{type(error).__name__}: {error}"
        self._was_away = False
        if self._monotonic() - self._closed_at > self._probing.max_pause_s:  # else the same trouble goes on
            self._pause_s = self._probing.first_pause_s
        self._become(BreakerState.OPEN)

    def close(self) -> None:
        """Close without a look: the backend has just answered."""
        if self._state is not BreakerState.CLOSED:
            self._become(BreakerState.CLOSED)

    async def check(self) -> None:
        """Look before anybody has called: opens when the backend is away. An open one is looked after by `run`."""
        await self._is_away()

    async def closed(self) -> bool:
        """Return when calls are let through: whether a look had failed, so that the backend was really away.

        Raises `HandedBackError` when the process is to end before that.
        """
        while self._state is not BreakerState.CLOSED:
            if self._released.is_set():
                raise HandedBackError(f"{self.name} is away and this process ends: another one waits for it")
            await self._wake.wait()
        return self._was_away

    async def rest(self, pause_s: float) -> bool:
        """Wait so long, and say no. Raises `HandedBackError` when the process is to end before that."""
        try:
            async with asyncio.timeout(pause_s):
                await self._released.wait()
        except TimeoutError:
            return False
        raise HandedBackError("this process ends: another one tries again")

    def release(self) -> None:
        """Let nobody wait here any more."""
        self._released.set()
        self._wake.set()

    async def run(self) -> None:
        """Look at the backend whenever it is away, until cancelled."""
        while True:
            await self._opened.wait()
            await self._sleep(self._next_pause_s())
            self._become(BreakerState.HALF_OPEN)
            self._become(BreakerState.CLOSED if await self._answers() else BreakerState.OPEN)

    async def _is_away(self) -> bool:
        """Calls that fail together share one look."""
        async with self._looking:
            if self._state is BreakerState.CLOSED:
                try:
                    await self._taken()
                except Exception as error:  # noqa: BLE001 (whatever it is, the backend does not do the least)
                    self.open(error)
                    self._was_away = True
            return self._state is not BreakerState.CLOSED

    async def _answers(self) -> bool:
        try:
            await self._taken()
        except Exception as error:  # noqa: BLE001 (see above)
            self._reason = f"{type(error).__name__}: {error}"
            self._was_away = True
            return False
        return True

    async def _taken(self) -> None:
        try:
            async with asyncio.timeout(self._probing.timeout_s) as limit:
                await self._look()
            self.proved()
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"no answer within {self._probing.timeout_s:g} s") from error
            raise

    def _next_pause_s(self) -> float:
        pause_s = self._pause_s
        self._pause_s = min(2 * pause_s, self._probing.max_pause_s)
        return pause_s * (SHORTEST_PAUSE_SHARE + (1 - SHORTEST_PAUSE_SHARE) * self._jitter())

    def _become(self, state: BreakerState) -> None:
        self._state = state
        if state is BreakerState.CLOSED:
            self._closed_at = self._monotonic()
            self._opened.clear()
            self._wake.set()
            log.info("backend is back", backend=self.name)
        else:
            self._opened.set()
            if not self._released.is_set():
                self._wake.clear()
            if state is BreakerState.OPEN:
                log.warning("backend is away, its messages wait", backend=self.name, reason=self._reason)
        for listener in self._listeners:
            listener(self)
