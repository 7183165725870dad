"""What every process tells the fleet about itself every few seconds."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar

from pydantic import AwareDatetime, Field

from contracts.identifiers import Token
from contracts.message import Message, Value

HEARTBEAT_INTERVAL_S = 3.0
MISSED_HEARTBEATS = 3

FACT_MODEL = "model"
FACT_PROMPT_VERSION = "prompt_version"
FACT_PARAMETERS = "parameters"
FACT_ENDPOINTS = "endpoints"
"""How many endpoints a worker spreads its requests over, of all its models; those without any do not tell it."""
FACT_ENCODER = "encoder"
"""The model that a retrieve worker encodes questions and texts with."""
FACT_INDEX = "index"
"""Engine and name of the index that a worker uses, as `lancedb:chunks`."""
FACT_INDEX_IN_RESERVE = "index_in_reserve"
"""`ready` or `away`: whether the entrance to the index that a worker does not use could be used; those that know but one do not
tell it."""
FACT_CACHE = "cache"
"""What keeps the cache that a worker shares with others, `nats` or `redis`; those that share none do not tell it."""

FACT_CONFIG_REVISION = "config_revision"
"""The revision of the runtime configuration that a process works by; 0: nothing is set, its own settings count."""

FACT_LEADS = "leads"
"""`yes` or `no`: whether this observer is the one that evaluates rules and tells of alerts."""

READY = "ready"
AWAY = "away"

PROGRESS_CHECK = "progress"
"""The check by which a worker tells that it is stuck: it is of the worker itself, not of a backend."""

EXIT_CONFIGURATION = 2
"""The exit code of a process that cannot start with its settings."""


class ProcessState(StrEnum):
    STARTING = "starting"
    READY = "ready"
    PAUSED = "paused"
    """Somebody ordered it to take no new work; so it is until it is told to go on, or is started again."""
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

    VERSION: ClassVar[int] = 3

    schema_version: int = Field(default=3, ge=1)
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
    facts: dict[str, str] = Field(default_factory=dict, max_length=16)
    """What it works with, such as `model` and `prompt_version` of a generate worker."""
