"""Alerts of rules as events that travel."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Final

import structlog

from contracts.alerts import (
    ALERTNAME,
    MAX_ANNOTATIONS,
    MAX_ANNOTATIONS_BYTES,
    MAX_LABELS,
    MAX_LABELS_BYTES,
    SEVERITY,
    AlertEvent,
)
from observability.rules import Alert, AlertState, Transition

PRINCIPAL: Final = "observer"
LONGEST_LABEL: Final = 1_024
LONGEST_ANNOTATION: Final = 8_192
FIRST: Final = (ALERTNAME, SEVERITY, "summary")
"""What is kept where there is no room for all."""

_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,127}")

log = structlog.get_logger(__name__)


def events_of(transitions: Iterable[Transition]) -> list[AlertEvent]:
    """What there is to tell of transitions: that an alert fires, and that one which fired is over."""
    return [event for transition in transitions if (event := event_of(transition.alert)) is not None]


def event_of(alert: Alert) -> AlertEvent | None:
    """The event of an alert as it is: the same however often it is made. None for one that never fired."""
    if alert.state is AlertState.PENDING or alert.fired_at_ms is None:
        return None
    starts_at = moment(alert.fired_at_ms)
    # A clock that was put back must not make an end that is before its beginning.
    ends_at = None if alert.resolved_at_ms is None else moment(max(alert.resolved_at_ms, alert.fired_at_ms))
    event = AlertEvent.of(
        bounded_labels(alert.labels),
        starts_at=starts_at,
        ends_at=ends_at,
        annotations=_bounded(alert.annotations, MAX_ANNOTATIONS, LONGEST_ANNOTATION, MAX_ANNOTATIONS_BYTES),
        value=alert.value if math.isfinite(alert.value) else None,
    )
    return event.model_copy(update={"created_at": ends_at or starts_at, "principal": PRINCIPAL})


def ended(alert: Alert, *, at_ms: int) -> AlertEvent | None:
    """The event that an alert is over because nobody asks for it any more; None for one that does not fire."""
    if alert.state is not AlertState.FIRING:
        return None
    return event_of(alert.model_copy(update={"state": AlertState.RESOLVED, "resolved_at_ms": at_ms}))


def bounded_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels as they travel: an alert whose labels are too many or too long is told with fewer, not left out."""
    return _bounded(labels, MAX_LABELS, LONGEST_LABEL, MAX_LABELS_BYTES)


def moment(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)


def _bounded(pairs: Mapping[str, str], most: int, longest: int, most_bytes: int) -> dict[str, str]:
    kept: dict[str, str] = {}
    room = most_bytes
    for name in sorted(filter(_NAME.fullmatch, pairs), key=lambda name: (name not in FIRST, name)):
        text = pairs[name].replace("\x00", "")[:longest]
        size = len(name) + len(text.encode())
        if len(kept) < most and size <= room:
            kept[name] = text
            room -= size
    if kept != dict(pairs):
        log.warning("an alert is told with less than it says", alertname=pairs.get(ALERTNAME))
    return kept
