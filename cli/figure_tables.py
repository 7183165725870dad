"""What people are shown of key figures and uptime."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.output import duration, size, table
from contracts.figures import Direction, FigureStatus, FiguresView, FigureView, Layer, UptimeView

_STYLES = {
    FigureStatus.HEALTHY: "green",
    FigureStatus.WARNING: "yellow",
    FigureStatus.CRITICAL: "bold red",
    FigureStatus.UNKNOWN: "dim",
}
_NUMBERS = frozenset({"value", "warning", "critical"})
_SHARES = frozenset({"last hour", "last day"})
_LEAST_S = 0.001
_WITHOUT_BRACES = str.maketrans("", "", "{}")
"""Units of things are written in braces."""


def overview(figures: FiguresView) -> RenderableType:
    """A table for each layer that has figures, each with its worst status, and one of uptimes."""
    shown: list[RenderableType] = []
    for layer in Layer:
        of_layer = [figure for figure in figures.items if figure.layer is layer]
        if of_layer:
            worst = FigureStatus.worst(figure.status for figure in of_layer)
            shown += [Text.assemble((layer.value, "bold"), "  ", (worst.value, _STYLES[worst])), _table(of_layer), ""]
    if figures.uptime:
        shown += [Text("uptime", "bold"), _uptimes(figures.uptime)]
    return Group(*shown) if shown else Text("No figures.")


def number(value: float | None, unit: str) -> str:
    """A value in its unit: 0.25 `s` as 250 ms, 0.9995 `1` as 99.95 %, 1536 `By` as 1.5 KiB."""
    if value is None:
        return ""
    if unit == "s":
        return _seconds(value)
    if unit == "1":
        return f"{100 * value:.4g} %"
    if unit == "By":
        return size(value)
    return f"{_digits(value)} {unit.translate(_WITHOUT_BRACES)}".strip()


def _digits(value: float) -> str:
    """Whole from a thousand on: never with an exponent, which four digits give from ten thousand on."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _seconds(value: float) -> str:
    if abs(value) < _LEAST_S:
        return f"{1e6 * value:.3g} µs" if value else "0 s"
    if abs(value) < 1:
        return f"{1000 * value:.3g} ms"
    return f"{value:.3g} s" if value < 60 else duration(value)


def _table(figures: Iterable[FigureView]) -> Table:
    rows = table("  figure", "value", "status", "warning", "critical", right=_NUMBERS)
    for figure in figures:
        sign = "< " if figure.bad is Direction.BELOW else "> "
        rows.add_row(
            f"  {figure.title}{_which(figure)}",
            number(figure.value, figure.unit) or "no data",
            Text(figure.status.value, _STYLES[figure.status]),
            _threshold(sign, figure.warning, figure.unit),
            _threshold(sign, figure.critical, figure.unit),
        )
    return rows


def _which(figure: FigureView) -> str:
    """Of several the one that is shown."""
    return "".join(f", {value}" for _, value in sorted(figure.labels.items()))


def _threshold(sign: str, value: float | None, unit: str) -> str:
    return "" if value is None else sign + number(value, unit)


def _uptimes(uptimes: Iterable[UptimeView]) -> Table:
    rows = table("  component", "alive", "last hour", "last day", right=_SHARES)
    for uptime in uptimes:
        rows.add_row(
            f"  {uptime.component}",
            _alive(uptime),
            number(uptime.last_hour, "1") or "unknown",
            number(uptime.last_day, "1") or "unknown",
        )
    return rows


def _alive(uptime: UptimeView) -> Text:
    """More than expected is no share of it: what has just started is expected only after half a minute."""
    if uptime.alive > uptime.expected:
        return Text(str(uptime.alive), "green")
    return Text(f"{uptime.alive} of {uptime.expected}", "green" if uptime.alive == uptime.expected else "red")
