"""Which alerts, and which part of their history, somebody asks for: read alike by who forwards a question and who answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, Self, TypeVar

from contracts.alert_views import ActiveState, AlertView
from contracts.alerts import NO_SEVERITY, SEVERITY
from contracts.identifiers import TOKEN
from contracts.observing import Parameters
from observability.notifications.matchers import Matchers

MOST_ENTRIES: Final = 500
USUAL_ENTRIES: Final = 50
MOST_CURSOR: Final = 2**63 - 1

USUAL_SPAN: Final = timedelta(days=1)

Kind = TypeVar("Kind", bound=StrEnum)


class HistoryKind(StrEnum):
    ALERT = "alert"
    NOTIFICATION = "notification"


_FOREIGN: Final = {
    HistoryKind.ALERT: ("channel", "fingerprint"),
    HistoryKind.NOTIFICATION: ("filter", "severity"),
}


@dataclass(frozen=True, kw_only=True)
class AlertQuestion:
    """Which of the alerts of now are meant. What is not said restricts nothing."""

    matchers: Matchers
    states: frozenset[ActiveState]
    severities: frozenset[str]
    fingerprints: frozenset[str]

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Raises `ValueError` that names the parameter which is wrong."""
        return cls(
            matchers=_matchers(parameters),
            states=frozenset(_member("state", text, ActiveState) for text in parameters.get("state", ())),
            severities=frozenset(parameters.get("severity", ())),
            fingerprints=frozenset(parameters.get("fingerprint", ())),
        )

    def accepts(self, alert: AlertView) -> bool:
        return (
            (not self.states or alert.state in self.states)
            and (not self.fingerprints or alert.fingerprint in self.fingerprints)
            and (not self.severities or alert.labels.get(SEVERITY, NO_SEVERITY) in self.severities)
            and self.matchers.accept(alert.labels)
        )


@dataclass(frozen=True, kw_only=True)
class HistoryQuestion:
    """Which part of the history is meant: up to `limit` entries after the cursor, oldest first.

    Matchers and severities are about alerts, channel and fingerprint about notifications.
    """

    kind: HistoryKind
    start: datetime | None
    end: datetime | None
    matchers: Matchers
    severities: frozenset[str]
    channel: str | None
    fingerprint: str | None
    limit: int
    cursor: int

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Raises `ValueError` that names the parameter which is wrong."""
        kind = _member("kind", _last("kind", parameters) or HistoryKind.ALERT, HistoryKind)
        for name in _FOREIGN[kind]:
            if parameters.get(name):
                raise ValueError(f"{name}: has no meaning for the history of {kind}s")
        start, end = _moment("start", parameters), _moment("end", parameters)
        if start is not None and end is not None and end < start:
            raise ValueError("end: is before start")
        return cls(
            kind=kind,
            start=start,
            end=end,
            matchers=_matchers(parameters),
            severities=frozenset(parameters.get("severity", ())),
            channel=_token("channel", parameters),
            fingerprint=_last("fingerprint", parameters),
            limit=_number("limit", parameters, at_least=1, at_most=MOST_ENTRIES) or USUAL_ENTRIES,
            cursor=_number("cursor", parameters, at_least=0, at_most=MOST_CURSOR) or 0,
        )

    def since(self, now: datetime) -> datetime:
        """Where it begins: a day before its end, unless it says otherwise."""
        return self.start or (self.end or now) - USUAL_SPAN


def moment(text: str) -> datetime:
    """A time as Prometheus takes it: RFC 3339, or seconds since 1970. Raises `ValueError` for what is none."""
    try:
        seconds = float(text)
    except ValueError:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None:
            raise ValueError(f"{text!r} names no time zone") from None
        return found
    if not math.isfinite(seconds):
        raise ValueError(f"{text!r} is no time")
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError) as error:
        raise ValueError(f"{text!r} is no time") from error


def _matchers(parameters: Parameters) -> Matchers:
    try:
        return Matchers.parse(parameters.get("filter", ()))
    except ValueError as error:
        raise ValueError(f"filter: {error}") from error


def _member(name: str, text: str, kinds: type[Kind]) -> Kind:
    try:
        return kinds(text)
    except ValueError:
        raise ValueError(f"{name}: {text!r} is none of {', '.join(kinds)}") from None


def _moment(name: str, parameters: Parameters) -> datetime | None:
    text = _last(name, parameters)
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no time such as 2026-01-31T12:00:00Z or 1769860800 ({error})") from None


def _number(name: str, parameters: Parameters, *, at_least: int, at_most: int) -> int | None:
    text = _last(name, parameters)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and at_least <= int(text) <= at_most):
        raise ValueError(f"{name}: {text!r} is no number from {at_least} to {at_most}")
    return int(text)


def _token(name: str, parameters: Parameters) -> str | None:
    text = _last(name, parameters)
    if text is not None and not TOKEN.fullmatch(text):
        raise ValueError(f"{name}: {text!r} is no name")
    return text


def _last(name: str, parameters: Parameters) -> str | None:
    values = [value for value in parameters.get(name, ()) if value]
    return values[-1] if values else None
