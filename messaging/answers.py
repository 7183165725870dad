"""Answers on their way: workers publish progress, readers follow it to the one terminal."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from nats.js.api import PubAck
from pydantic import ValidationError

from contracts import subjects, topology
from contracts.answers import ANSWER_EVENT, Completed, Delta, Retrieved
from contracts.errors import TransientError, WaggleError
from messaging.answer_order import AnswerOrder
from messaging.broker import Broker
from messaging.live import Live, listening
from messaging.storage import Storage
from messaging.terminals import AnyTerminal, Terminals, read_terminal

WINDOW = 16
"""Most deltas of one answer that are not yet acknowledged."""

TICK_S = 0.5
"""How often a waiting reader checks whether the connection was replaced."""

READER_BACKLOG = 1024
"""Most events that wait for a slow reader; what is beyond is read from the stream again."""

FIRST_EVENTS = 64
"""Pieces may be stored before the passages, which are published when generation has been asked for."""

AnyEvent = Retrieved | Delta | AnyTerminal
Key = tuple[str, str]

LOST = "a piece of an answer was lost, its terminal repairs it"

log = structlog.get_logger(__name__)


class AnswerTimeoutError(TransientError):
    """No terminal came in the time the reader had. The query may still end; read it again later."""


class AnswerPublisher:
    """Publishes the progress of answers to the stream ANSWERS."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._unacknowledged: defaultdict[Key, set[asyncio.Future[PubAck]]] = defaultdict(set)

    @property
    def unacknowledged(self) -> int:
        """How many deltas are on their way."""
        return sum(map(len, self._unacknowledged.values()))

    async def retrieved(self, event: Retrieved) -> None:
        """Publish the passages and wait until they are stored. Raises what `Broker.publish` raises."""
        await self._broker.publish(
            subjects.answer(event.tenant, event.query_id), event, stream=topology.ANSWERS, message_id=_message_id(event)
        )

    async def delta(self, event: Delta) -> None:
        """Send the next piece; waits only while `WINDOW` earlier ones are not acknowledged, and not for ever.

        A piece that is lost is no error: the terminal carries the whole answer.
        """
        key = (event.tenant, event.query_id)
        if len(on_their_way := self._unacknowledged.get(key, set())) >= WINDOW:
            await self._wait(on_their_way, asyncio.FIRST_COMPLETED)
        try:
            sent = await self._broker.send(subjects.answer(*key), event, message_id=_message_id(event))
        except WaggleError as error:
            log.warning(LOST, reason=str(error))
            return
        self._unacknowledged[key].add(sent)
        sent.add_done_callback(lambda done: self._settled(key, done))

    async def flush(self, tenant: str, query_id: str) -> None:
        """Wait until all deltas of an answer are stored or lost; call it before the message is acknowledged."""
        key = (tenant, query_id)
        if on_their_way := self._unacknowledged.get(key):
            await self._wait(on_their_way, asyncio.ALL_COMPLETED)

    async def _wait(self, futures: set[asyncio.Future[PubAck]], until: str) -> None:
        """What is not acknowledged in the time that a publish may take is given up."""
        done, late = set[asyncio.Future[PubAck]](), set(futures)
        try:
            done, late = await asyncio.wait(late, timeout=self._broker.publish_timeout_s, return_when=until)
        finally:
            if not done or until is asyncio.ALL_COMPLETED:
                for future in late:
                    future.cancel()

    def _settled(self, key: Key, sent: asyncio.Future[PubAck]) -> None:
        self._unacknowledged[key].discard(sent)
        if not self._unacknowledged[key]:
            del self._unacknowledged[key]
        if sent.cancelled() or sent.exception() is not None:
            log.warning(LOST, reason="not acknowledged" if sent.cancelled() else str(sent.exception()))


def _message_id(event: Retrieved | Delta) -> str:
    return f"{event.tenant}.{event.query_id}.{event.id}"


class AnswerReader:
    """Opens answers for reading. Anybody may read the same answer any number of times."""

    def __init__(self, broker: Broker, *, storage: Storage | None = None) -> None:
        self._broker = broker
        self._storage = storage or Storage(broker)

    @asynccontextmanager
    async def open(self, tenant: str, query_id: str) -> AsyncIterator[AnswerStream]:
        """Listen to an answer from now on; ask the question inside, and nothing of its answer is missed."""
        stream = AnswerStream(self._broker, self._storage, tenant, query_id)
        wanted = (subjects.answer(tenant, query_id), subjects.answer_end(tenant, query_id))
        async with listening(self._broker, *wanted, hear=stream.receive):
            yield stream

    async def read(
        self, tenant: str, query_id: str, *, after: str | None = None, timeout_s: float
    ) -> AsyncIterator[AnyEvent]:
        """Read an answer that was asked for before, after the event with this id; see `AnswerStream.events`."""
        async with self.open(tenant, query_id) as stream:
            async for event in stream.events(after=after, timeout_s=timeout_s, from_start=True):
                yield event

    async def retrieved(self, tenant: str, query_id: str) -> Retrieved | None:
        """The passages of an answer, as long as they are kept. They are among its first events, or nowhere."""
        subject = subjects.answer(tenant, query_id)
        stored = await self._storage.following(topology.ANSWERS.name, subject, limit=FIRST_EVENTS)
        events = (_progress(each.data) for each in stored)
        return next((event for event in events if isinstance(event, Retrieved)), None)


class AnswerStream:
    """One answer, live; the stored messages are read only to resume and after the connection was away."""

    def __init__(self, broker: Broker, storage: Storage, tenant: str, query_id: str) -> None:
        self._broker = broker
        self._storage = storage
        self._terminals = Terminals(broker, storage=storage)
        self._tenant = tenant
        self._query_id = query_id
        self._live: asyncio.Queue[Live] = asyncio.Queue(READER_BACKLOG)
        self._overflown = False
        self._connection = self._connections

    async def receive(self, message: Live) -> None:
        """Take a live message."""
        try:
            self._live.put_nowait(message)
        except asyncio.QueueFull:
            self._overflown = True

    async def events(
        self, *, timeout_s: float, after: str | None = None, from_start: bool = False
    ) -> AsyncIterator[AnyEvent]:
        """The events after the id `after`, each once and in order, then the terminal.

        `from_start`: what was stored before `open` is wanted too. A delta of a higher attempt voids those of lower
        ones. Raises `ValueError` for an `after` that is no event id, and `AnswerTimeoutError` when there is no terminal
        within `timeout_s`.
        """
        order = AnswerOrder(after)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        behind, wait_s = from_start, 0.0 if from_start else TICK_S
        while True:
            event = await self._next(min(wait_s, max(0.0, deadline - loop.time())))
            late = event is None and loop.time() >= deadline
            fresh: list[AnyEvent] = [event] if event is not None else []
            if behind or late or self._interrupted() or _after_gap(event, order):
                stored = await self._stored()
                behind = stored is None  # the broker is away: look again at the next tick
                fresh = [*(stored or ()), *fresh]
            for seen in fresh:
                if not isinstance(seen, Retrieved | Delta):
                    yield seen
                    return
                if order.admit(seen):
                    yield seen
            if late:
                raise AnswerTimeoutError(f"query {self._query_id} has not ended within {timeout_s:g} s")
            wait_s = TICK_S

    async def _next(self, wait_s: float) -> AnyEvent | None:
        try:
            async with asyncio.timeout(wait_s):
                message = await self._live.get()
        except TimeoutError:
            return None
        if message.subject == subjects.answer_end(self._tenant, self._query_id):
            return read_terminal(message.data, self._tenant, self._query_id)
        return _progress(message.data)

    async def _stored(self) -> list[AnyEvent] | None:
        """The whole answer as the streams hold it, or None when they cannot be read now."""
        subject, found, after = subjects.answer(self._tenant, self._query_id), list[AnyEvent](), 0
        try:
            terminal = await self._terminals.find(self._tenant, self._query_id)
            while batch := await self._storage.following(topology.ANSWERS.name, subject, after=after):
                found += [event for stored in batch if (event := _progress(stored.data)) is not None]
                after = batch[-1].sequence
        except TransientError:
            return None
        return found if terminal is None else [*found, terminal]

    def _interrupted(self) -> bool:
        """Whether live messages may have been missed since the last call."""
        before, self._connection = self._connection, self._connections
        overflown, self._overflown = self._overflown, False
        return overflown or before != self._connection

    @property
    def _connections(self) -> int:
        return int(self._broker.nc.stats["reconnects"])


def _after_gap(event: AnyEvent | None, order: AnswerOrder) -> bool:
    if isinstance(event, Completed):
        return not order.begun
    return isinstance(event, Retrieved | Delta) and order.gap_before(event)


def _progress(data: bytes) -> Retrieved | Delta | None:
    try:
        return ANSWER_EVENT.validate_json(data)
    except ValidationError as error:
        log.warning("an answer event cannot be read, its terminal repairs it", errors=error.error_count())
        return None
