"""What became of telling somebody: one event for each notification that was sent or given up."""

from __future__ import annotations

from enum import StrEnum

from pydantic import Field

from contracts.alerts import Fingerprint, LabelName, LabelValue
from contracts.identifiers import Token
from contracts.message import Message

MAX_TOLD_ALERTS = 500
"""Of one group: what a notification can be about."""


class SendReason(StrEnum):
    """Why somebody is told."""

    FIRST = "first"
    """Nothing of this group was told before."""
    NEW_ALERTS = "new_alerts"
    RESOLVED = "resolved"
    """Something that was told to be firing is over."""
    REPEATED = "repeated"
    """It still fires after `repeat_interval`."""
    TEST = "test"


class SendOutcome(StrEnum):
    DELIVERED = "delivered"
    REFUSED = "refused"
    """The receiver says that trying again cannot help. The group's next turn tries again all the same."""
    EXPIRED = "expired"
    """It could not be delivered before the group's next turn, which tries again."""
    QUEUE_FULL = "queue_full"
    """Too many groups wait for this channel; the group's next turn tries again."""


class NotificationEvent(Message):
    """A notification and what came of it. `id` is the idempotency key that its receiver was given."""

    id: Token
    channel: Token
    receiver: str = Field(max_length=128)
    group_key: str = Field(max_length=65536)
    group_labels: dict[LabelName, LabelValue] = Field(default_factory=dict)
    reason: SendReason | None = None
    """None where none was composed: the queue was full."""
    outcome: SendOutcome
    attempts: int = Field(ge=0)
    firing: tuple[Fingerprint, ...] = Field(default=(), max_length=MAX_TOLD_ALERTS)
    resolved: tuple[Fingerprint, ...] = Field(default=(), max_length=MAX_TOLD_ALERTS)
    detail: str = Field(default="", max_length=1024)
    """What the receiver said, without secrets and addresses that may hold some."""
