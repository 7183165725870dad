"""What every process tells the fleet about itself every few seconds."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.identifiers import Token
from contracts.message import Message, Value

HEARTBEAT_INTERVAL_S = 3.0
MISSED_HEARTBEATS = 3


class ProcessState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class CheckStatus(StrEnum):
    OK = "ok"
    DEGRADED = "degraded"
    FAILING = "failing"
    UNKNOWN = "unknown"


class BackendCheck(Value):
    """The last look at something a process depends on."""

    name: str
    status: CheckStatus
    latency_ms: float | None = None
    detail: str = ""


class Heartbeat(Message):
    """One process: who it is, what it is doing, when it last made progress."""

    service: Token
    instance: Token
    host: str
    version: str
    track: str = "stable"
    pid: int
    started_at: AwareDatetime
    state: ProcessState
    in_flight: int = Field(ge=0)
    oldest_in_flight_s: float | None = Field(default=None, ge=0)
    progress: int = Field(ge=0)
    """A counter that only grows: messages finished since start."""
    last_progress_at: AwareDatetime | None = None
    rss_bytes: int = Field(ge=0)
    cpu_s: float = Field(ge=0)
    checks: tuple[BackendCheck, ...] = ()
