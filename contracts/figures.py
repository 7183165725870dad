"""Key figures as they are shown: what counts most of each layer, and whether it is as it should be."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from pydantic import AwareDatetime, Field

from contracts.views import View


class Layer(StrEnum):
    APPLICATION = "application"
    SERVICE = "service"
    INFRASTRUCTURE = "infrastructure"
    BUSINESS = "business"


class FigureStatus(StrEnum):
    HEALTHY = "healthy"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
    """There is no data, which is never healthy."""

    @classmethod
    def worst(cls, statuses: Iterable[FigureStatus]) -> FigureStatus:
        """The one that somebody should look at first; unknown when there is none."""
        return max(statuses, key=_URGENCY.index, default=cls.UNKNOWN)


_URGENCY = (FigureStatus.HEALTHY, FigureStatus.UNKNOWN, FigureStatus.WARNING, FigureStatus.CRITICAL)


class Direction(StrEnum):
    """On which side of its thresholds a figure is bad."""

    ABOVE = "above"
    BELOW = "below"


class FigureView(View):
    """A figure at one time. `value` is None where there is no data, a threshold where there is none."""

    name: str
    layer: Layer
    title: str
    value: float | None = Field(default=None, allow_inf_nan=False)
    unit: str = ""
    """As OpenTelemetry writes units: `s`, `By`, `1` for shares, `{query}/s`."""
    status: FigureStatus
    bad: Direction = Direction.ABOVE
    warning: float | None = None
    critical: float | None = None
    at: AwareDatetime
    """Of the newest sample that it rests on."""
    labels: dict[str, str] = Field(default_factory=dict)
    """Which of several it is of, such as a host or a consumer: the worst is shown."""


class UptimeView(View):
    """How much of the time a component was alive; shares of 1, None where it was not watched."""

    component: str
    alive: int = Field(ge=0)
    """Instances alive now."""
    expected: int = Field(ge=0)
    last_hour: float | None = Field(default=None, ge=0, le=1)
    last_day: float | None = Field(default=None, ge=0, le=1)


class FiguresView(View):
    items: tuple[FigureView, ...]
    uptime: tuple[UptimeView, ...] = ()
