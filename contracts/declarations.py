"""What the table of the broker's furniture is made of: streams, consumers, buckets, each with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR
MiB = 1024 * 1024
GiB = 1024 * MiB


class Retention(StrEnum):
    WORK_QUEUE = "workqueue"
    LIMITS = "limits"


class Discard(StrEnum):
    NEW = "new"
    OLD = "old"


@dataclass(frozen=True, kw_only=True)
class Republish:
    """The broker itself copies each stored message from `source` to `destination`."""

    source: str
    destination: str
    headers_only: bool = False


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A stream and why it is as it is."""

    name: str
    subjects: tuple[str, ...]
    retention: Retention
    discard: Discard
    why: str
    max_bytes: int
    max_age_s: float | None = None
    max_msgs_per_subject: int | None = None
    discard_new_per_subject: bool = False
    async_persist: bool = False
    duplicate_window_s: float = 2 * MINUTE
    republish: Republish | None = None


@dataclass(frozen=True, kw_only=True)
class Consumer:
    """A durable pull consumer and why it is as it is.

    `attempts` is how often a handler is given a message. The broker also counts deliveries for which the message is not to
    blame (handed back by a process that was told to stop, in hand while another message ended the process), so
    `max_deliver`, its limit for all of them, is far above: it ends what does not get as far as a handler.
    """

    durable: str
    stream: Stream
    filter_subject: str
    why: str
    ack_wait_s: float = 30.0
    attempts: int = 9
    max_deliver: int = 100
    max_ack_pending: int = 10_000


@dataclass(frozen=True, kw_only=True)
class KeyValue:
    """A KV bucket and why it is as it is."""

    name: str
    why: str
    history: int = 1
    ttl_s: float | None = None
    max_bytes: int = 1 * GiB
    discard: Discard = Discard.NEW


@dataclass(frozen=True, kw_only=True)
class ObjectBucket:
    name: str
    why: str
    max_bytes: int
