"""A message as a stream holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

import nats.js.errors

from messaging.clock import parse_time
from messaging.errors import BrokerUnavailableError

_ADDED_HEADERS = frozenset(
    {"Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Last-Sequence", "Nats-Time-Stamp", "Nats-Num-Pending"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A message as the stream holds it.

    `pending` counts those that matched after it when it was read; from a leader it tells only whether there were any.
    """

    subject: str
    sequence: int
    headers: Mapping[str, str]
    data: bytes
    pending: int = 0

    @property
    def stored_at(self) -> datetime:
        """When the broker stored it (its own clock)."""
        return parse_time(self.headers["Nats-Time-Stamp"])

    @property
    def published_headers(self) -> dict[str, str]:
        """Those that the publisher set, without what the broker adds on reading."""
        return {name: value for name, value in self.headers.items() if name not in _ADDED_HEADERS}


def without_orders(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers for publishing a message anew: those that tell the broker what to do, its id among them, were for the first time."""
    return {name: value for name, value in headers.items() if not name.lower().startswith("nats-")}


def unreadable(stream: str, why: object) -> BrokerUnavailableError:
    """The error of a read that was not answered, or with an error."""
    missing = isinstance(why, nats.js.errors.NotFoundError) or why == "stream not found"
    return BrokerUnavailableError(
        f"{stream} cannot be read: {'it is not there, run `waggle provision`' if missing else why}"
    )
