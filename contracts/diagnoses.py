"""Diagnoses as they are shown: what is wrong with the fleet, by which evidence, and what might help."""

from __future__ import annotations

from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.alerts import Fingerprint, fingerprint
from contracts.views import View


class Cause(StrEnum):
    HIGH_RESPONSE_TIME = "high_response_time"
    HIGH_ERROR_RATE = "high_error_rate"
    MEMORY_LEAK = "memory_leak"
    BACKEND_CONNECTION_LOST = "backend_connection_lost"
    SERVICE_UNAVAILABLE = "service_unavailable"
    BACKLOG_GROWING = "backlog_growing"
    POISON_MESSAGE = "poison_message"
    BAD_RELEASE = "bad_release"
    DISK_FILLING = "disk_filling"
    SLOW_CONSUMER = "slow_consumer"


class RecommendedAction(StrEnum):
    RESTART_SERVICE = "restart_service"
    """Of one instance."""
    CLEAR_CACHE = "clear_cache"
    SCALE_UP = "scale_up"
    SCALE_DOWN = "scale_down"
    FAILOVER = "failover"
    ROLLBACK = "rollback"
    CALL_PERSON = "call_person"


class Subject(View):
    """What a cause is of. `component` is a service or a backend; what does not apply, or is not known, is empty."""

    component: str
    service: str = ""
    instance: str = ""
    consumer: str = ""
    host: str = ""
    release: str = ""
    """Version and track, as `1.4.0/canary`."""

    def fingerprint(self, cause: Cause) -> Fingerprint:
        """The same for the same cause of the same subject, whenever it is found."""
        return fingerprint({"cause": cause.value, **{name: text for name, text in self.model_dump().items() if text}})


class Evidence(View):
    """Something that was seen. `threshold` is None where a value is told and not judged."""

    what: str
    source: str = ""
    """The expression that it was read with, or the line of a log."""
    value: float | None = Field(default=None, allow_inf_nan=False)
    threshold: float | None = Field(default=None, allow_inf_nan=False)
    unit: str = ""
    """As of key figures: `s`, `By`, `1` for shares, `{message}`."""
    labels: dict[str, str] = Field(default_factory=dict)
    at: AwareDatetime
    """Of the newest sample that it rests on."""


class Diagnosis(View):
    """A cause that was found. With `impacted_by` it is a consequence: these fingerprints are what it comes from."""

    fingerprint: Fingerprint
    cause: Cause
    subject: Subject
    summary: str
    confidence: float = Field(ge=0, le=1)
    evidence: tuple[Evidence, ...] = Field(min_length=1)
    actions: tuple[RecommendedAction, ...] = ()
    """What might help, the mildest first. Of a consequence there are none: its root is what to act upon."""
    impacted_by: tuple[Fingerprint, ...] = ()
    at: AwareDatetime

    @property
    def is_root(self) -> bool:
        return not self.impacted_by


class DiagnosesView(View):
    """All that was found at one time: roots first, the most certain first."""

    at: AwareDatetime
    items: tuple[Diagnosis, ...] = ()
    unjudged: tuple[Cause, ...] = ()
    """Causes that could not be looked for, which is not that there are none."""


class EpisodeView(View):
    """One time that a cause was there: from when it was first found until it was no more."""

    began_at: AwareDatetime
    last_seen_at: AwareDatetime
    ended_at: AwareDatetime | None = None
    """When it was last found, once it has stayed away; None while it goes on."""
    diagnosis: Diagnosis
    """As it was when it was most certain."""


class DiagnosisHistoryView(View):
    """Newest first; a page of it over HTTP, where `next` is the cursor of the following one."""

    items: tuple[EpisodeView, ...]
    next: str | None = None
