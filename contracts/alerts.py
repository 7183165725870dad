"""Alerts as they travel: what is wrong, since when, and that it is over."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from contracts.message import Message

ALERTNAME = "alertname"
SEVERITY = "severity"
NO_SEVERITY = "none"

MAX_LABELS = 64
MAX_ANNOTATIONS = 32
MAX_LABELS_BYTES = 16 * 1024
MAX_ANNOTATIONS_BYTES = 32 * 1024
"""Of all names and values together, so that a thousand alerts stay within tens of megabytes."""

LabelName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z_][a-zA-Z0-9_]{0,127}$")]
LabelValue = Annotated[str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[^\x00]*$")]
"""Not empty: a label with an empty value is the same as none, so it is left out."""
AnnotationValue = Annotated[str, StringConstraints(max_length=8192, pattern=r"^[^\x00]*$")]
Fingerprint = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{16}$")]

_FNV_OFFSET = 14695981039346656037
_FNV_PRIME = 1099511628211
_SEPARATOR = b"\xff"


class AlertState(StrEnum):
    FIRING = "firing"
    RESOLVED = "resolved"


class AlertEvent(Message):
    """An alert began to fire, or is over. Published at least once for each change, under the same id each time.

    `starts_at` is when it began to fire; together with `fingerprint` it names this one time that it did. A `value` that
    is no finite number is None.
    """

    labels: dict[LabelName, LabelValue] = Field(min_length=1, max_length=MAX_LABELS)
    annotations: dict[LabelName, AnnotationValue] = Field(default_factory=dict, max_length=MAX_ANNOTATIONS)
    state: AlertState
    starts_at: AwareDatetime
    ends_at: AwareDatetime | None = None
    value: float | None = Field(default=None, allow_inf_nan=False)
    fingerprint: Fingerprint
    generator_url: str = Field(default="", max_length=2048)

    @classmethod
    def of(
        cls,
        labels: Mapping[str, str],
        *,
        starts_at: datetime,
        ends_at: datetime | None = None,
        annotations: Mapping[str, str] | None = None,
        value: float | None = None,
        generator_url: str = "",
    ) -> Self:
        """An alert with these labels; resolved when it has an end. Raises `ValidationError` beyond the bounds."""
        kept = {name: text for name, text in labels.items() if text}
        return cls(
            labels=kept,
            annotations=dict(annotations or {}),
            state=AlertState.FIRING if ends_at is None else AlertState.RESOLVED,
            starts_at=starts_at,
            ends_at=ends_at,
            value=value,
            fingerprint=fingerprint(kept),
            generator_url=generator_url,
        )

    @property
    def id(self) -> str:
        """The same however often this change is told: consumers drop repeats by it."""
        return f"alert.{self.fingerprint}.{self.starts_at.timestamp():.6f}.{self.state}"

    @property
    def is_firing(self) -> bool:
        return self.state is AlertState.FIRING

    @property
    def name(self) -> str:
        return self.labels[ALERTNAME]

    @property
    def severity(self) -> str:
        return self.labels.get(SEVERITY, NO_SEVERITY)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if ALERTNAME not in self.labels:
            raise ValueError(f"has no label {ALERTNAME}")
        if self.fingerprint != fingerprint(self.labels):
            raise ValueError("the fingerprint is not that of the labels")
        if (self.state is AlertState.RESOLVED) != (self.ends_at is not None):
            raise ValueError("a resolved alert has an end, a firing one has none")
        if self.ends_at is not None and self.ends_at < self.starts_at:
            raise ValueError("ends before it starts")
        return self

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        for kind, pairs, limit in (
            ("labels", self.labels, MAX_LABELS_BYTES),
            ("annotations", self.annotations, MAX_ANNOTATIONS_BYTES),
        ):
            if sum(len(name) + len(text.encode()) for name, text in pairs.items()) > limit:
                raise ValueError(f"the {kind} are larger than {limit} bytes together")
        return self


def fingerprint(labels: Mapping[str, str]) -> str:
    """The identity of a label set as Prometheus and Alertmanager compute it: 64-bit FNV-1a, 16 hex characters."""
    value = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _SEPARATOR + labels[name].encode() + _SEPARATOR:
            value = ((value ^ byte) * _FNV_PRIME) & 0xFFFF_FFFF_FFFF_FFFF
    return f"{value:016x}"
