"""Questions to the observer that leads, and its answers, which may take several messages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, ClassVar, Self

from pydantic import Base64Bytes, Field, StringConstraints, model_validator

from contracts.identifiers import Token
from contracts.message import Message

MOST_NAMES = 32
MOST_VALUES = 64
"""Of one name."""
MOST_CHARACTERS = 64 * 1024
"""Of all names and values together."""

PART_BYTES = 180 * 1024
"""Most bytes of an answer in one part; as base64, with all else, it stays within 256 KiB."""
MOST_ANSWER_BYTES = 32 * 1024 * 1024
"""Of a whole answer, unpacked."""
MOST_PARTS = -(-MOST_ANSWER_BYTES // PART_BYTES)

LONGEST_WAIT_S = 60.0
DEFAULT_WAIT_S = 30.0


class RequestKind(StrEnum):
    """What is asked; the last token of the request's subject.

    The first seven are Prometheus' own, with its parameters and answers. The parameters of the others are listed with them;
    all may be left out, and answers are the views named.
    """

    QUERY = "query"
    QUERY_RANGE = "query_range"
    SERIES = "series"
    LABELS = "labels"
    LABEL_VALUES = "label_values"
    """The parameter `name` is the label; Prometheus has it in the path."""
    METADATA = "metadata"
    BUILDINFO = "buildinfo"
    RULES = "rules"
    """`contracts.alert_views.RulesView`; with `shape=prometheus` as Prometheus tells them, by its parameters."""
    ALERTS = "alerts"
    """`contracts.alert_views.AlertsView`: those that are pending, firing, or resolved a short while ago.

    `filter` (matchers as in `severity="critical"`, all to be met), `state`, `severity` and `fingerprint` (any of those
    given). With `shape=prometheus` as Prometheus tells them.
    """
    HISTORY = "history"
    """`contracts.alert_views.HistoryView`, oldest first.

    `kind` (`alert` or `notification`), `start` and `end` (RFC 3339 or seconds since 1970), `limit`, `cursor` (`next` of the
    page before); of alerts `filter` and `severity`, of notifications `channel` and `fingerprint`.
    """
    FIGURES = "figures"
    """`contracts.figures.FiguresView`."""
    DIAGNOSES = "diagnoses"
    """`contracts.diagnoses.DiagnosesView`; with `since` (a time) `contracts.diagnoses.DiagnosisHistoryView`.

    `at`: of this time instead of now, as far as series reach. Times are RFC 3339 or seconds since 1970.
    """
    HEALTH = "health"
    """`contracts.component_health.HealthView`; `since` (RFC 3339 or seconds since 1970): with what changed since then."""
    DEPENDENCIES = "dependencies"
    """`contracts.component_health.DependenciesView`."""
    FLEET_METRICS = "fleet_metrics"
    """The newest sample of every series. `format`: `text` (Prometheus' text format) or `json`."""
    RECOVERY_POLICY = "recovery_policy"
    """The policy of repairs that is in force, as JSON: what its file says, with the defaults filled in."""
    RECOVERY_PLAN = "recovery_plan"
    """`contracts.recovery_views.RecoveryPlanView`: what would be decided now. Nothing is recorded, nothing is ordered."""


class ErrorType(StrEnum):
    """Why there is no answer, in Prometheus' words."""

    BAD_DATA = "bad_data"
    EXECUTION = "execution"
    NOT_FOUND = "not_found"
    TIMEOUT = "timeout"
    UNAVAILABLE = "unavailable"
    INTERNAL = "internal"

    @property
    def status(self) -> int:
        """The HTTP status that Prometheus gives it."""
        return _STATUSES[self]


_STATUSES = {
    ErrorType.BAD_DATA: 400,
    ErrorType.EXECUTION: 422,
    ErrorType.NOT_FOUND: 404,
    ErrorType.TIMEOUT: 503,
    ErrorType.UNAVAILABLE: 503,
    ErrorType.INTERNAL: 500,
}

SHAPE = "shape"
PROMETHEUS = "prometheus"

ParameterName = Annotated[str, StringConstraints(pattern=r"^[a-z_]{1,64}(\[\])?$")]
Parameters = Mapping[str, Sequence[str]]


class ObserverRequest(Message):
    """Ask the observer that leads. It answers with parts to the reply subject, within `timeout_s`."""

    VERSION: ClassVar[int] = 3

    schema_version: int = Field(default=3, ge=1)
    """Version 1 did not know `health`, `dependencies` and `diagnoses`, version 2 not `recovery_policy` and `recovery_plan`."""
    kind: RequestKind
    parameters: dict[ParameterName, list[str]] = Field(default_factory=dict, max_length=MOST_NAMES)
    timeout_s: float = Field(default=DEFAULT_WAIT_S, gt=0, le=LONGEST_WAIT_S)

    @classmethod
    def of(cls, kind: RequestKind, parameters: Parameters, *, timeout_s: float) -> Self:
        """Raises `ValidationError` beyond the bounds."""
        return cls(
            kind=kind,
            parameters={name: list(values) for name, values in parameters.items()},
            timeout_s=min(timeout_s, LONGEST_WAIT_S),
        )

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for name, values in self.parameters.items():
            if len(values) > MOST_VALUES:
                raise ValueError(f"{name} is given {len(values)} times: at most {MOST_VALUES} are taken")
        characters = sum(len(name) + sum(map(len, values)) for name, values in self.parameters.items())
        if characters > MOST_CHARACTERS:
            raise ValueError(f"{characters} characters of parameters: at most {MOST_CHARACTERS} are taken")
        return self


class ObserverReplyPart(Message):
    """A part of an answer. Parts are numbered from 0; an answer of which one is missing is worth nothing.

    `answerer` is the observer: where two believe that they lead, parts of one are never joined to those of the other.
    `status`, `media_type` and `compressed` are the same in all parts; compressed is the whole answer, before it was cut.
    """

    answerer: Token
    number: int = Field(ge=0, lt=MOST_PARTS)
    last: bool
    status: int = Field(ge=200, le=599)
    media_type: str = Field(default="application/json", max_length=128)
    compressed: bool = False
    """With zlib (RFC 1950)."""
    data: Base64Bytes = Field(max_length=4 * PART_BYTES // 3)
