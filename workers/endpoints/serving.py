"""A model behind endpoints that is asked at one route, for whole replies in JSON."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from pydantic import JsonValue, SecretStr

from contracts.endpoints import Balance, EndpointAddress
from contracts.errors import PermanentError
from workers.endpoints.errors import EndpointsAwayError
from workers.endpoints.faults import GivenUp
from workers.endpoints.field_rules import Body
from workers.endpoints.pool import EndpointPool
from workers.endpoints.probing import ProbePauses
from workers.endpoints.purpose import Purpose, TimeLimit

PAUSES_S = (0.2, 0.4)
"""Before all endpoints are asked again; shortened by chance to at least half."""
MOST_REST_S = 5.0
"""So long a rest of an endpoint is waited for. Longer ones are the caller's matter."""
SLACK_S = 0.01
"""A rest is over a little after it, not a little before."""

T = TypeVar("T")
Sleep = Callable[[float], Awaitable[None]]


class ServedModel:
    """Asks the endpoints of a pool, and again where that may help.

    While all of them are left out whoever asks looks first, as its own probe may come much later.
    """

    def __init__(
        self,
        pool: EndpointPool,
        *,
        sleep: Sleep = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.pool = pool
        self._sleep = sleep
        self._jitter = jitter

    @property
    def purpose(self) -> Purpose:
        return self.pool.purpose

    async def ask(
        self,
        body: Body,
        *,
        read: Callable[[JsonValue], T],
        limit: TimeLimit,
        pauses_s: Sequence[float] = PAUSES_S,
        repeats_500: bool = True,
        given_up: GivenUp | None = None,
    ) -> T:
        """What `read` makes of the reply; it raises `StrangeReplyError` for one that it cannot use.

        All endpoints are asked again after each of the pauses, unless a setting may be wrong, one of them hung, or all want
        a long rest. `repeats_500=False` leaves that out, too, where one failed with 500: for callers who look whether it is
        the request. Raises what `EndpointPool.post_json` raises, which explains `given_up`.
        """
        for pause_s in pauses_s:
            try:
                return await self._ask(body, read, limit, given_up)
            except EndpointsAwayError as error:
                if not _passes_soon(error) or (error.may_be_the_request and not repeats_500):
                    raise
                shortened_s = pause_s * (0.5 + 0.5 * self._jitter())
                await self._sleep(max(shortened_s, (error.retry_after_s or 0.0) + SLACK_S))
        return await self._ask(body, read, limit, given_up)

    async def _ask(self, body: Body, read: Callable[[JsonValue], T], limit: TimeLimit, given_up: GivenUp | None) -> T:
        if self.pool.is_out:
            await self.pool.look()
        replied = await self.pool.post_json(self.purpose.route, body, read=read, limit=limit, given_up=given_up)
        return replied.reply


def pool_of(
    purpose: Purpose,
    addresses: Sequence[EndpointAddress],
    *,
    api_key: SecretStr | None,
    connect_s: float,
    pauses: ProbePauses | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> EndpointPool:
    """The pool of a model whose requests are alike and short: whoever has the fewest under way gets the next.

    Raises `PermanentError`, naming the setting, when there is no address.
    """
    if not addresses:
        setting = purpose.setting("ENDPOINTS")
        raise PermanentError(
            f"{setting} is not set: give the addresses of the servers, e.g. {setting}=http://gpu-1:8000/v1"
        )
    return EndpointPool(
        addresses,
        purpose,
        balance=Balance.LEAST_CONNECTIONS,
        connect=TimeLimit(seconds=connect_s, setting="the time to connect"),
        api_key=api_key,
        pauses=pauses,
        monotonic=monotonic,
    )


def _passes_soon(error: EndpointsAwayError) -> bool:
    return not error.may_be_settings and not error.hung and (error.retry_after_s or 0.0) <= MOST_REST_S
