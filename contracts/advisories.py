"""What the broker says by itself about messages that nobody will get again (NATS ADR-15, JetStream advisories)."""

from __future__ import annotations

from typing import ClassVar

from pydantic import AwareDatetime, ConfigDict, Field

from contracts.message import Message


class DeliveryAdvisory(Message):
    """A message of a stream was delivered as often as its consumer allows, or was ended by a client.

    Of another maker than all other messages: fields that are not needed here are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    EXHAUSTED: ClassVar[str] = "io.nats.jetstream.advisory.v1.max_deliver"

    type: str
    timestamp: AwareDatetime
    stream: str
    consumer: str
    stream_seq: int = Field(ge=1)
    deliveries: int = Field(default=1, ge=1)

    @property
    def exhausted(self) -> bool:
        """Whether the message still lies in its stream, undelivered."""
        return self.type == self.EXHAUSTED
