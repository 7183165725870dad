"""One delivery of one message, as handlers and middlewares see it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Generic, TypeVar

from nats.aio.msg import Msg

from contracts import subjects, topology
from contracts.message import Message
from messaging.clock import BrokerClock
from messaging.errors import ForeignMessageError
from messaging.storage import Stored

M = TypeVar("M", bound=Message)


class Outcome(StrEnum):
    """How a delivery ended; the only attribute of it that is measured."""

    UNSETTLED = "unsettled"
    ACKED = "acked"
    EXPIRED = "expired"
    RETRIED = "retried"
    POSTPONED = "postponed"
    """It was too early: nothing failed."""
    DEAD_LETTERED = "dead_lettered"
    RETURNED = "returned"


_ACK_TOKENS_OLD = 9
"""`$JS.ACK.<stream>.<consumer>.<attempt>.<sequence>.…`; newer servers put domain and account before the stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Delivery:
    """Where a message came from and how often it has been handed out.

    `attempt` counts from 1. `published_at` and `deadline` are the broker's time; `deadline` is None for work that
    nobody waits for. `tenant` is the subject's, the only one to be trusted.
    """

    subject: str
    tenant: str
    stream: str
    consumer: str
    sequence: int
    attempt: int
    published_at: datetime
    headers: Mapping[str, str] = field(default_factory=dict)
    deadline: datetime | None = None

    @classmethod
    def of(cls, raw: Msg) -> Delivery:
        """Read the delivery of a message pulled from a consumer. Raises `ForeignMessageError` for any other message."""
        tokens = raw.reply.split(".")
        if tokens[:2] != ["$JS", "ACK"] or len(tokens) < _ACK_TOKENS_OLD:
            raise ForeignMessageError(f"{raw.subject}: not pulled from a consumer")
        stream, consumer, attempt, sequence, _, timestamp_ns = (
            tokens[2:8] if len(tokens) == _ACK_TOKENS_OLD else tokens[4:10]
        )
        return cls(
            subject=raw.subject,
            tenant=subjects.tenant_of(raw.subject),
            stream=stream,
            consumer=consumer,
            sequence=int(sequence),
            attempt=int(attempt),
            published_at=_from_ns(int(timestamp_ns)),
            headers=raw.headers or {},
        )

    @classmethod
    def of_stored(cls, stored: Stored, *, stream: str, consumer: str, attempt: int) -> Delivery:
        """The delivery of a message that was read from its stream instead of pulled."""
        return cls(
            subject=stored.subject,
            tenant=subjects.tenant_of(stored.subject),
            stream=stream,
            consumer=consumer,
            sequence=stored.sequence,
            attempt=attempt,
            published_at=stored.stored_at,
            headers=stored.published_headers,
        )

    def remaining_s(self, clock: BrokerClock) -> float | None:
        """Seconds until the deadline, negative when it has passed; None without one."""
        return None if self.deadline is None else clock.remaining_s(self.deadline)


@dataclass(slots=True, kw_only=True)
class Incoming(Generic[M]):
    """A delivery on its way through the middlewares. `message` is set once decoded, `outcome` once settled.

    While it is `held` nobody works on it; `resumed_at` is when (loop time) that ended last. `on_handled` is called when its
    handler will not be given it any more in this delivery: all that is left is to settle it.
    """

    raw: Msg
    delivery: Delivery
    consumer: topology.Consumer
    message: M | None = None
    outcome: Outcome = Outcome.UNSETTLED
    held: bool = False
    resumed_at: float = 0.0
    on_handled: Callable[[], None] = lambda: None

    @contextmanager
    def on_hold(self) -> Iterator[None]:
        """Nobody works on it in the body."""
        self.held = True
        try:
            yield
        finally:
            self.held = False
            self.resumed_at = asyncio.get_running_loop().time()


def _from_ns(nanoseconds: int) -> datetime:
    """Exact to the microsecond; a float could not tell these apart."""
    return datetime.fromtimestamp(nanoseconds // 10**9, UTC) + timedelta(microseconds=nanoseconds % 10**9 // 1000)
