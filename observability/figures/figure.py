"""What a key figure is, and when it is bad."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from contracts.errors import WaggleError
from contracts.figure_settings import Thresholds
from contracts.figures import Direction, FigureStatus, Layer
from observability.promql import Query, parse


class FigureError(WaggleError):
    """A figure that there is not, or thresholds that cannot be met. Nothing was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A number that an expression yields; of several series the worst counts.

    `rests_on` selects the samples that have to be there and recent: an expression over a range goes on yielding values for
    minutes after its data has stopped, which would look like health. `unit` is as OpenTelemetry writes it. Raises
    `ExpressionError` for an expression that cannot be used, and `FigureError` for thresholds in the wrong order.
    """

    name: str
    title: str
    layer: Layer
    unit: str
    expression: str
    rests_on: str
    bad: Direction = Direction.ABOVE
    thresholds: Thresholds = Thresholds()  # noqa: RUF009 (frozen)
    query: Query = field(init=False, repr=False, compare=False)
    basis: Query = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "query", parse(self.expression))
        object.__setattr__(self, "basis", parse(self.rests_on))
        warning, critical = self.thresholds.warning, self.thresholds.critical
        if warning is not None and critical is not None and self._is_beyond(warning, critical):
            raise FigureError(
                f"{self.name} is bad {self.bad} its thresholds, so the warning {warning:g} cannot lie beyond the "
                f"critical {critical:g}: exchange them"
            )

    def worst(self, values: Iterable[float]) -> float | None:
        """The worst of the values that are finite numbers; None without any."""
        finite = [value for value in values if math.isfinite(value)]
        return (max if self.bad is Direction.ABOVE else min)(finite, default=None)

    def status(self, value: float | None) -> FigureStatus:
        """What a value means. None and what is no finite number are unknown."""
        if value is None or not math.isfinite(value):
            return FigureStatus.UNKNOWN
        if self.thresholds.critical is not None and self._is_beyond(value, self.thresholds.critical):
            return FigureStatus.CRITICAL
        if self.thresholds.warning is not None and self._is_beyond(value, self.thresholds.warning):
            return FigureStatus.WARNING
        return FigureStatus.HEALTHY

    def _is_beyond(self, value: float, threshold: float) -> bool:
        return value > threshold if self.bad is Direction.ABOVE else value < threshold


def with_thresholds(figures: Iterable[Figure], given: Mapping[str, Thresholds]) -> tuple[Figure, ...]:
    """`figures` with other thresholds. Raises `FigureError` for a figure that there is not."""
    known = tuple(figures)
    unknown = given.keys() - {figure.name for figure in known}
    if unknown:
        names = ", ".join(sorted(figure.name for figure in known))
        raise FigureError(f"there is no figure {min(unknown)}: choose one of {names}")
    return tuple(replace(f, thresholds=given[f.name]) if f.name in given else f for f in known)
