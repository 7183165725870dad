"""What is stored of a group of rules, so that another observer goes on with it."""

from __future__ import annotations

import zlib
from typing import Final, NamedTuple, Self

from pydantic import Field

from contracts.alerts import AlertEvent
from contracts.errors import InvalidMessageError
from contracts.identifiers import derived_id
from contracts.message import Message
from observability.rules import AlertState, GroupState, RuleGroup

COMPRESSED_FROM_BYTES: Final = 64 * 1024
MOST_BYTES: Final = 64 * 1024 * 1024
_ZLIB: Final = b"\x78"
"""How zlib data begins; JSON begins otherwise."""


class GroupKey(NamedTuple):
    """Which group of which file."""

    file: str
    name: str

    @classmethod
    def of(cls, group: RuleGroup) -> GroupKey:
        return cls(group.file, group.name)

    def __str__(self) -> str:
        return f"{self.file};{self.name}"


class RuleGroupRecord(Message):
    """The alerts of one group, and the events of them that are not known to be published yet.

    Both are written at once: an event that was stored is published, by this observer or by the next one, and one that was
    not is as if it had not been. `departed` are the ends of alerts that no rule knows any more, for as long as a resolved
    alert is remembered. `token` is the fencing token of the observer that wrote it.
    """

    token: int = Field(ge=0)
    file: str = Field(max_length=4096)
    group: str = Field(max_length=4096)
    state: GroupState | None = None
    untold: tuple[AlertEvent, ...] = ()
    departed: tuple[AlertEvent, ...] = ()

    @property
    def key(self) -> GroupKey:
        return GroupKey(self.file, self.group)

    def to_bytes(self) -> bytes:
        """JSON, compressed where it is large: a thousand alerts fit into a message all the same."""
        plain = super().to_bytes()
        return plain if len(plain) < COMPRESSED_FROM_BYTES else zlib.compress(plain, 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """As for all messages; raises `InvalidMessageError` also for what is too large once it is decompressed."""
        if not data.startswith(_ZLIB):
            return super().from_bytes(data)
        decompressor = zlib.decompressobj()
        try:
            plain = decompressor.decompress(data, MOST_BYTES)
        except zlib.error as error:
            raise InvalidMessageError(f"not a {cls.__name__}: {error}") from error
        if not decompressor.eof:
            raise InvalidMessageError(f"not a {cls.__name__}: cut off, or larger than {MOST_BYTES} bytes")
        return super().from_bytes(plain)


def record_key(key: GroupKey) -> str:
    """Where it is stored: names of files hold what keys of a bucket may not."""
    return derived_id(*key)


Essence = tuple[object, ...]


def essence(state: GroupState | None) -> Essence:
    """What of a state is worth writing it again: not values and words, which change at every evaluation."""
    if state is None:
        return ()
    return tuple(
        (
            rule.name,
            tuple(
                (
                    tuple(alert.labels.items()),
                    alert.state,
                    alert.active_at_ms,
                    alert.fired_at_ms,
                    alert.resolved_at_ms,
                    alert.keep_firing_since_ms,
                )
                for alert in rule.alerts
            ),
        )
        for rule in state.rules
    )


def counts_time(state: GroupState | None) -> bool:
    """Whether some alert waits for its `for` or `keep_firing_for`: how long it was watched is then part of the state."""
    alerts = (alert for rule in (state.rules if state else ()) for alert in rule.alerts)
    return any(alert.state is AlertState.PENDING or alert.keep_firing_since_ms is not None for alert in alerts)
