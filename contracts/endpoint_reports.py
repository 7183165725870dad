"""What workers tell of the endpoints that they ask, and what people order about one."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import Field

from contracts.identifiers import Token
from contracts.message import Message, Value


class ServedModelKind(StrEnum):
    """What the model behind endpoints does for a worker, in the words of its circuit breaker."""

    ENCODER = "encoder"
    RERANKER = "reranker"
    GENERATOR = "generator"


class EndpointState(StrEnum):
    """Whether an endpoint gets requests; only a healthy one does."""

    HEALTHY = "healthy"
    RESTING = "resting"
    """It said that it has too much to do."""
    FAILING = "failing"
    DRAINING = "draining"
    """Somebody takes it out: it gets nothing new."""


class EndpointStats(Value):
    """Figures of an endpoint in one worker since its start."""

    url: str
    state: EndpointState
    weight: int = Field(ge=1)
    standby: bool
    requests: int = Field(ge=0)
    failures: int = Field(ge=0)
    in_flight: int = Field(ge=0)
    last_error: str
    """What went wrong last, however long ago; empty if nothing did."""
    latency_s: float | None = Field(ge=0)
    """A moving average up to the first token, or the whole reply of encoders and rerankers; None before one."""


class EndpointOrder(Message):
    """Drain an endpoint, or use it again; `principal` is who says so.

    It is kept in the bucket `config` and then told to all workers, who do what is kept. It holds for workers that start
    later, until the next order about the same endpoint.
    """

    url: str = Field(min_length=1, max_length=2048)
    """Where its API begins, as the setting names it, without a slash at the end."""
    draining: bool


class EndpointReportRequest(Message):
    """Ask every worker that has endpoints for a report of each of its models."""


class EndpointReport(Message):
    """The endpoints of one model of one worker, in the order of its setting. A worker with two models sends two."""

    VERSION: ClassVar[int] = 2

    schema_version: int = Field(default=2, ge=1)
    service: Token
    instance: Token
    kind: ServedModelKind = ServedModelKind.GENERATOR
    """Version 1 was of generators only."""
    model: str
    endpoints: tuple[EndpointStats, ...]
