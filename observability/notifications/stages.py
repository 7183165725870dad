"""What keeps an alert from being told: small judges, asked one after the other, each with its reason."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from contracts.alerts import AlertEvent
from observability.notifications.inhibition import Inhibition
from observability.notifications.routing import Route
from observability.notifications.silencing import Silences


class Hindrance(StrEnum):
    SETTLING = "settling"
    """The observer has just begun, and does not know everything yet."""
    INHIBITED = "inhibited"
    MUTED = "muted"
    SILENCED = "silenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """An alert of which nobody is told now. `by`: the inhibiting fingerprint, the time interval, the silence's id."""

    alert: AlertEvent
    hindrance: Hindrance
    by: str = ""


class Stage(Protocol):
    """One reason not to tell."""

    @property
    def hindrance(self) -> Hindrance: ...

    def hindered_by(self, alert: AlertEvent, route: Route, now: datetime) -> str | None:
        """What hinders, or None: this stage lets the alert pass."""
        ...


@dataclass(frozen=True, kw_only=True)
class Settle:
    """Nothing is told before `until`: an observer that took over hears first what fires and what was told."""

    until: datetime
    hindrance: Hindrance = Hindrance.SETTLING

    def hindered_by(self, alert: AlertEvent, route: Route, now: datetime) -> str | None:
        return self.until.isoformat() if now < self.until else None


@dataclass(frozen=True, kw_only=True)
class Inhibit:
    inhibition: Inhibition
    hindrance: Hindrance = Hindrance.INHIBITED

    def hindered_by(self, alert: AlertEvent, route: Route, now: datetime) -> str | None:
        return self.inhibition.inhibiting(alert.labels)


@dataclass(frozen=True, kw_only=True)
class MuteTimes:
    hindrance: Hindrance = Hindrance.MUTED

    def hindered_by(self, alert: AlertEvent, route: Route, now: datetime) -> str | None:
        return route.muted_by(now)


@dataclass(frozen=True, kw_only=True)
class Silenced:
    silences: Silences
    hindrance: Hindrance = Hindrance.SILENCED

    def hindered_by(self, alert: AlertEvent, route: Route, now: datetime) -> str | None:
        silence = self.silences.silencing(alert.labels, now)
        return silence.id if silence else None


@dataclass(frozen=True)
class Sifted:
    """Alerts that may be told, and those that may not, with why."""

    passed: tuple[AlertEvent, ...]
    withheld: tuple[Withheld, ...]


def sift(alerts: Iterable[AlertEvent], stages: Sequence[Stage], route: Route, now: datetime) -> Sifted:
    """Ask every stage about every alert; the first that hinders counts."""
    passed: list[AlertEvent] = []
    withheld: list[Withheld] = []
    for alert in alerts:
        hindered = _first_hindrance(alert, stages, route, now)
        if hindered is None:
            passed.append(alert)
        else:
            withheld.append(hindered)
    return Sifted(tuple(passed), tuple(withheld))


def _first_hindrance(alert: AlertEvent, stages: Sequence[Stage], route: Route, now: datetime) -> Withheld | None:
    for stage in stages:
        by = stage.hindered_by(alert, route, now)
        if by is not None:
            return Withheld(alert=alert, hindrance=stage.hindrance, by=by)
    return None
