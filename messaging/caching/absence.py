"""Keeps a server that is away from costing every question its time-out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog

from contracts.errors import WaggleError
from messaging.caching.errors import CacheAwayError
from messaging.errors import AwayError

REST_S = 1.0
"""How long a server that is away is left alone: one question in so many seconds waits for its time-out."""
BUSY = 2.0
"""A time-out that is noticed so many times too late says that this process was busy, not that the server is away."""

T = TypeVar("T")

log = structlog.get_logger(__name__)


class NotAnsweredError(Exception):
    """The server did not do what was asked; the log says why, once."""


class Absence:
    """Asks a server while it answers. Said in the log: once that it is away, once that it is back.

    Not a `Breaker`: that holds messages until a backend is back. Nobody waits for a cache.
    """

    def __init__(
        self,
        level: str,
        *,
        timeout_s: float,
        rest_s: float = REST_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._level = level
        self._timeout_s = timeout_s
        self._rest_s = rest_s
        self._monotonic = monotonic
        self._away = False
        self._ask_at = 0.0
        self._refused: set[str] = set()

    async def ask(self, operation: str, request: Callable[[], Awaitable[T]]) -> T:
        """The answer. Raises `NotAnsweredError`: at once while the server is away, after the time-out when it goes.

        Of those that ask while it is away one a `rest_s` is let through, to find out whether it is back.
        """
        if self._away:
            self._require_rest()
        asked_at = self._monotonic()
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await request()
        except TimeoutError as error:
            if self._monotonic() - asked_at < BUSY * self._timeout_s:
                self._is_away(f"no answer within {self._timeout_s:g} s")
            raise NotAnsweredError(operation) from error
        except (AwayError, CacheAwayError) as error:
            self._is_away(str(error))
            raise NotAnsweredError(operation) from error
        except WaggleError as error:
            self._refuses(operation, str(error))
            raise NotAnsweredError(operation) from error
        self._answers(operation)
        return answer

    def _require_rest(self) -> None:
        now = self._monotonic()
        if now < self._ask_at:
            raise NotAnsweredError("it is away")
        self._ask_at = now + self._rest_s

    def _is_away(self, reason: str) -> None:
        self._ask_at = self._monotonic() + self._rest_s
        if not self._away:
            self._away = True
            log.warning("cache is away, questions go on without it", level=self._level, reason=reason)

    def _refuses(self, operation: str, reason: str) -> None:
        if operation not in self._refused:
            self._refused.add(operation)
            log.warning("cache refuses, questions go on without it", level=self._level, call=operation, reason=reason)

    def _answers(self, operation: str) -> None:
        self._refused.discard(operation)
        if self._away:
            self._away = False
            log.info("cache is back", level=self._level)
