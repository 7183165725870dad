"""What deciding looks at, besides diagnoses: an immutable picture of the fleet at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from contracts.diagnoses import Cause
from contracts.health import ProcessState
from contracts.platforms import InstanceState
from contracts.recovery import RecoveryPause
from contracts.silences import Silence


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceFacts:
    """An instance as it was last heard, and as the platform sees it. `state` of a silent one is what it said last."""

    service: str
    instance: str
    silent: bool
    state: ProcessState
    heard_at: datetime
    started_at: datetime
    late: bool = False
    """It has missed two heartbeats, or was silent until seconds ago."""
    version: str = ""
    track: str = "stable"
    stuck: bool = False
    """It says itself that nothing was finished for longer than anything may take."""
    progresses: bool = True
    """It gets on with its work, or has none."""
    waiting: int = 0
    """Messages at its consumers that nobody has in hand."""
    restarts: int = 0
    """By the platform, within 10 minutes."""
    run: InstanceState | None = None
    """None: the platform's view is not known."""
    platform_silent: bool = False
    """It told how the instances are, and does not answer now."""
    run_since: datetime | None = None
    """When the platform started it, or saw it end."""

    @property
    def is_hung(self) -> bool:
        """It lives, and does not get on although there is work; slow work is none of that."""
        return not self.silent and (self.stuck or (not self.progresses and self.waiting > 0))

    @property
    def is_ready(self) -> bool:
        return not self.silent and self.state is ProcessState.READY and not self.is_hung


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFacts:
    """How many instances of a service run, and may at most; None: not known."""

    running: int
    possible: int | None = None
    has_cache: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendFacts:
    """Whether there is a standby for a backend of `service`, and whether it is used now."""

    service: str
    standby_available: bool
    standby_active: bool
    first_choice_available: bool = False
    """Whether what the standby stands in for works."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFacts:
    """The runtime configuration: its revision, the one to go back to, and since when it is in force. 0: nothing is set.

    `previous` is None where there is none, or the present revision is itself one that was gone back to, or the operator's:
    it went to a standby or back, and who would take that back has not looked at the other one.
    """

    current: int = 0
    previous: int | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """When a cause was first and last found, the last time that it came."""

    began_at: datetime
    last_seen_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """The fleet at one moment. `episodes` are by fingerprint, those lately ended too, and know the diagnoses of this moment;
    services and backends are by name.
    """

    connected: bool
    """Whether the observer has the broker."""
    hears: bool
    """Whether heartbeats could have been heard lately."""
    instances: tuple[InstanceFacts, ...] = ()
    services: Mapping[str, ServiceFacts] = field(default_factory=dict)
    backends: Mapping[str, BackendFacts] = field(default_factory=dict)
    config: ConfigFacts = ConfigFacts()
    silences: tuple[Silence, ...] = ()
    pause: RecoveryPause | None = None
    episodes: Mapping[str, Episode] = field(default_factory=dict)
    seen_since: Mapping[Cause, datetime] = field(default_factory=dict)
    """Since when a cause has been looked for without a break by who could hear; without an entry it is not known."""

    def instance(self, name: str) -> InstanceFacts | None:
        return next((each for each in self.instances if each.instance == name), None)

    def of(self, service: str) -> tuple[InstanceFacts, ...]:
        """The instances of a service, by name."""
        return tuple(sorted((i for i in self.instances if i.service == service), key=lambda each: each.instance))
