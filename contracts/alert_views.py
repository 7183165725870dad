"""Alerts, rules and their history as they are shown."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field

from contracts.notifications import SendOutcome, SendReason
from contracts.views import View


class ActiveState(StrEnum):
    """Where an alert, or an alerting rule, stands."""

    INACTIVE = "inactive"
    """A rule without alerts."""
    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"
    """It fired, and is remembered for a quarter of an hour."""


class AlertView(View):
    """An alert as it is now. A `value` that is no finite number is None."""

    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    state: ActiveState
    since: AwareDatetime
    """Since when its expression has been true."""
    fired_at: AwareDatetime | None = None
    resolved_at: AwareDatetime | None = None
    value: float | None = Field(default=None, allow_inf_nan=False)
    rule: str
    group: str = ""
    file: str = ""
    silenced_by: tuple[str, ...] = ()
    """Ids of the silences that keep people from being told."""
    inhibited_by: tuple[str, ...] = ()
    """Fingerprints of the alerts that fire and of which this one follows, so that people are told of those only."""


class AlertsView(View):
    """Alerts, firing ones first, then pending and resolved ones, each kind newest first."""

    items: tuple[AlertView, ...]


class RuleKind(StrEnum):
    ALERTING = "alerting"
    RECORDING = "recording"


class RuleHealth(StrEnum):
    OK = "ok"
    UNKNOWN = "unknown"
    """Not evaluated yet."""
    ERROR = "err"


class RuleView(View):
    """A rule and how its last evaluation went. What only alerting rules have keeps its default in recording ones."""

    name: str
    kind: RuleKind
    query: str
    labels: dict[str, str] = Field(default_factory=dict)
    annotations: dict[str, str] = Field(default_factory=dict)
    """As the file has them, not filled in."""
    for_s: float = 0.0
    keep_firing_for_s: float = 0.0
    health: RuleHealth = RuleHealth.UNKNOWN
    last_error: str = ""
    """Why the last evaluation failed; empty when it did not."""
    last_evaluation: AwareDatetime | None = None
    evaluation_s: float = 0.0
    state: ActiveState = ActiveState.INACTIVE
    alerts: tuple[AlertView, ...] = ()


class GroupView(View):
    """A group of rules, which are evaluated one after the other every `interval_s`."""

    name: str
    file: str
    interval_s: float
    limit: int = 0
    last_evaluation: AwareDatetime | None = None
    evaluation_s: float = 0.0
    rules: tuple[RuleView, ...]


class FaultView(View):
    """What is wrong with a file of rules, or a text of the bucket `config`."""

    file: str
    line: int
    reason: str


class ReloadView(View):
    """What came of reading the rules the last time: of a file with faults, what was there before goes on."""

    successful: bool
    faults: tuple[FaultView, ...] = ()


class RulesView(View):
    groups: tuple[GroupView, ...]
    reload: ReloadView | None = None


class AlertChange(View):
    """An alert began to fire, or was over."""

    kind: Literal["alert"] = "alert"
    at: AwareDatetime
    state: Literal["firing", "resolved"]
    fingerprint: str
    labels: dict[str, str]
    annotations: dict[str, str] = Field(default_factory=dict)
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = None
    value: float | None = Field(default=None, allow_inf_nan=False)


class NotificationView(View):
    """Somebody was told of alerts, or could not be."""

    kind: Literal["notification"] = "notification"
    at: AwareDatetime
    channel: str
    receiver: str
    group_labels: dict[str, str] = Field(default_factory=dict)
    reason: SendReason | None = None
    outcome: SendOutcome
    attempts: int
    firing: tuple[str, ...] = ()
    resolved: tuple[str, ...] = ()
    """Fingerprints of alerts."""
    detail: str = ""


HistoryEntry = Annotated[AlertChange | NotificationView, Field(discriminator="kind")]


class HistoryView(View):
    """A page, oldest first. While `next`, the cursor of the following page, is not None there may be more, however few there
    are in this one. An entry may be there twice: it was told again when in doubt.
    """

    items: tuple[HistoryEntry, ...]
    next: str | None = None
