"""What a dashboard is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class PanelKind(StrEnum):
    """Grafana's names of panel types."""

    TIME_SERIES = "timeseries"
    STAT = "stat"
    TABLE = "table"


@dataclass(frozen=True, slots=True)
class Target:
    """An expression, and what its series are called: `{{label}}` stands for a label's value."""

    expression: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """`unit` is Grafana's. Colours change at `warning` and `critical`; where the first is the larger, below them.

    `width` is of 24 columns, `height` in rows of 30 pixels.
    """

    title: str
    targets: Sequence[Target]
    unit: str = "short"
    kind: PanelKind = PanelKind.TIME_SERIES
    warning: float | None = None
    critical: float | None = None
    stacked: bool = False
    most: float | None = None
    width: int = 8
    height: int = 8
    description: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """Panels under a heading, from left to right."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class TextVariable:
    """Something that is typed in at the top of the dashboard."""

    name: str
    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """`name` is that of the file, and part of the uid."""

    name: str
    title: str
    rows: Sequence[Row]
    by_service: bool = False
    """Whether services can be chosen: `$service` in expressions."""
    texts: Sequence[TextVariable] = ()


def graph(title: str, *targets: tuple[str, str], **options: object) -> Panel:
    """Lines over time; each target is an expression and a legend."""
    return Panel(title=title, targets=[Target(*target) for target in targets], **options)  # type: ignore[arg-type]  # named as Panel's fields


def number(title: str, expression: str, **options: object) -> Panel:
    """One number of now."""
    options = {"kind": PanelKind.STAT, "width": 4, "height": 4, **options}
    return Panel(title=title, targets=[Target(expression)], **options)  # type: ignore[arg-type]  # named as Panel's fields
