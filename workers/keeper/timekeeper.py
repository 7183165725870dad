"""Sees to it that every accepted query ends, even if every worker is dead."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import structlog

from contracts import topology
from contracts.answers import Failed
from contracts.documents import Failure
from contracts.errors import ErrorCode, TransientError, WaggleError
from contracts.events import QueryFact
from messaging.broker import Broker
from messaging.clock import parse_time
from messaging.events import Events
from messaging.live import Live, listening
from messaging.storage import Storage, StreamResetError
from messaging.terminals import Terminals
from workers.keeper.acceptance import ACCEPTED, FACTS, deadline_of, ended_by, query_of
from workers.keeper.deadlines import Deadlines, Key

POLL_S = 0.5
"""How often the streams are read; an accepted query is known within this time even if no live word of it came."""

GRACE_S = 0.25
"""After the deadline, for the worker's own terminal, which says more."""

ATTEMPT_S = 1.0
RETRY_S = 0.25
AT_ONCE = 64
"""Queries ended concurrently."""

LOOKBACK_S = (topology.TERMINALS.max_age_s or topology.HOUR) / 2
"""How old a query may be to be ended here: whether an older one has ended cannot be told for certain, its terminal may
have aged out."""

PRINCIPAL = "keeper"

log = structlog.get_logger(__name__)


class Timekeeper:
    """Arms a timer for each accepted query and ends those that have no terminal when it is due.

    What it knows comes from three sources, because each alone leaves a hole: live copies of the accepted requests'
    headers (at once, but lost while disconnected), the stream EVENTS (survives restarts of the keeper, names the
    query only if the header did), and the requests still waiting in QUERY (with their bodies). Any number of keepers
    may run: the arbiter takes one terminal.
    """

    def __init__(self, broker: Broker, *, deadlines: Deadlines | None = None, poll_s: float = POLL_S) -> None:
        self._broker = broker
        self._poll_s = poll_s
        self._storage = Storage(broker)
        self._terminals = Terminals(broker, storage=self._storage)
        self._events = Events(broker)
        self._deadlines = deadlines if deadlines is not None else Deadlines()
        self._sooner = asyncio.Event()

    @property
    def armed(self) -> int:
        """How many timers are running."""
        return len(self._deadlines)

    async def run(self) -> None:
        """Keep time until cancelled. A broker that is away is waited for."""
        async with listening(self._broker, ACCEPTED, hear=self._on_accepted), asyncio.TaskGroup() as tasks:
            tasks.create_task(self._follow(topology.EVENTS.name, FACTS))
            tasks.create_task(self._follow(topology.QUERY.name, topology.QUERY.subjects[0]))
            tasks.create_task(self._end_when_due())

    async def _on_accepted(self, message: Live) -> None:
        """A live copy of a request's headers."""
        headers = message.headers
        try:
            accepted_at = parse_time(headers["Nats-Time-Stamp"])
            key = query_of(message.subject, headers) or await self._named_in_body(message.subject, headers)
        except (KeyError, ValueError, TransientError) as error:
            log.debug("not known at once, the streams will tell", reason=str(error))
            return
        if key is not None:
            self._arm(key, headers, accepted_at)

    async def _named_in_body(self, subject: str, headers: Mapping[str, str]) -> Key | None:
        """Publishers that set no query id header: read the request before its worker has removed it."""
        found = await self._storage.following(
            topology.QUERY.name, headers["Nats-Subject"], after=int(headers["Nats-Sequence"]) - 1, limit=1
        )
        same = [request for request in found if request.sequence == int(headers["Nats-Sequence"])]
        return query_of(subject, same[0].headers, same[0].data) if same else None

    async def _follow(self, stream: str, subject: str) -> None:
        """Arm and disarm from what a stream holds, from `LOOKBACK_S` ago on."""
        while True:
            since = self._broker.clock.now() - timedelta(seconds=LOOKBACK_S)
            try:
                async for stored in self._storage.follow(
                    stream, subject, since=since, poll_s=self._poll_s, eager=False
                ):
                    if (ended := ended_by(stored) if stream == topology.EVENTS.name else None) is not None:
                        self._deadlines.disarm(ended)
                    elif (key := query_of(stored.subject, stored.headers, stored.data)) is not None:
                        while not self._arm(key, stored.headers, stored.stored_at):  # noqa: ASYNC110 (only time makes room)
                            await asyncio.sleep(self._poll_s)
            except StreamResetError as error:
                log.warning("stream read again from its beginning", reason=str(error))

    def _arm(self, key: Key, headers: Mapping[str, str], accepted_at: datetime) -> bool:
        due_at = deadline_of(headers, accepted_at) + timedelta(seconds=GRACE_S)
        armed = self._deadlines.arm(key, due_at)
        if self._deadlines.next_at() == due_at:
            self._sooner.set()
        return armed

    async def _end_when_due(self) -> None:
        while True:
            self._sooner.clear()
            due = self._deadlines.due(self._broker.clock.now(), limit=AT_ONCE)
            await asyncio.gather(*(self._end(key, due_at) for key, due_at in due))
            if not due:
                await self._until_next()

    async def _until_next(self) -> None:
        """Sleep to the next timer, not longer than `poll_s`: the broker's time may be learnt anew meanwhile."""
        next_at = self._deadlines.next_at()
        left_s = self._broker.clock.remaining_s(next_at) if next_at else self._poll_s
        try:
            async with asyncio.timeout(min(max(left_s, 0.0), self._poll_s)):
                await self._sooner.wait()
        except TimeoutError:
            return

    async def _end(self, key: Key, due_at: datetime) -> None:
        """End a query that is due, unless it has ended; tried again until the broker has answered."""
        if -self._broker.clock.remaining_s(due_at) > LOOKBACK_S:
            return
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await self._end_once(*key)
        except (TransientError, TimeoutError) as error:
            log.info("query could not be ended yet", query_id=key[1], reason=str(error))
            await asyncio.sleep(RETRY_S)
            self._deadlines.arm(key, due_at)
        except WaggleError:
            log.exception("query cannot be ended", query_id=key[1])

    async def _end_once(self, tenant: str, query_id: str) -> None:
        failure = Failure(
            code=ErrorCode.DEADLINE_EXCEEDED,
            message="No answer was found within the time allowed: ask again, or allow more time.",
        )
        terminal = await self._terminals.find(tenant, query_id)
        if terminal is None:
            terminal = Failed(
                tenant=tenant,
                query_id=query_id,
                principal=PRINCIPAL,
                created_at=self._broker.clock.now(),
                code=failure.code,
                message=failure.message,
                retryable=True,
            )
            if not await self._terminals.end(terminal):
                return
            log.info("query ended at its deadline", tenant=tenant, query_id=query_id)
        if terminal.principal == PRINCIPAL:
            await self._events.query(
                QueryFact.FAILED, tenant=tenant, query_id=query_id, principal=PRINCIPAL, failure=failure
            )
