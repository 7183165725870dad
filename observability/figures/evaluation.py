"""Key figures of this moment."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Self

import structlog

from contracts.figure_settings import FigureSettings
from contracts.figures import FiguresView, FigureView
from observability.figures.catalogue import FIGURES
from observability.figures.cost import cost_figure
from observability.figures.figure import Figure, with_thresholds
from observability.figures.uptime import uptimes
from observability.promql import EvaluationError, Sample, SeriesSource
from observability.promql.labels import METRIC_NAME

log = structlog.get_logger(__name__)

FRESH_MS: Final = 60_000
"""What a figure rests on is not older: six metrics samples, twenty heartbeats."""


class KeyFigures:
    """Computes figures from series."""

    def __init__(self, figures: Iterable[Figure], *, fresh_ms: int = FRESH_MS) -> None:
        self._figures = tuple(figures)
        self._fresh_ms = fresh_ms

    @classmethod
    def configured(cls, settings: FigureSettings) -> Self:
        """All figures, with the thresholds and prices of the settings. Raises `FigureError` for those of no use."""
        return cls(with_thresholds((*FIGURES, cost_figure(settings.prices)), settings.thresholds))

    def view(self, source: SeriesSource, *, at_ms: int) -> FiguresView:
        """All figures, and the uptime of each service, at a moment in milliseconds since 1970.

        A figure without recent data, or that cannot be computed, is unknown.
        """
        items = tuple(self._figure(figure, source, at_ms) for figure in self._figures)
        return FiguresView(items=items, uptime=uptimes(source, at_ms=at_ms, fresh_ms=self._fresh_ms))

    def _figure(self, figure: Figure, source: SeriesSource, at_ms: int) -> FigureView:
        value, labels, newest_ms = None, dict[str, str](), at_ms
        try:
            basis = figure.basis.instant(source, at_ms=at_ms, lookback_ms=self._fresh_ms)
            if len(basis):
                newest_ms = at_ms if basis.times_ms is None else int(basis.times_ms.max())
                value, labels = _worst(figure, figure.query.instant(source, at_ms=at_ms).samples)
        except EvaluationError as error:
            log.warning("a figure cannot be computed", figure=figure.name, reason=str(error))
        return FigureView(
            name=figure.name,
            layer=figure.layer,
            title=figure.title,
            value=value,
            unit=figure.unit,
            status=figure.status(value),
            bad=figure.bad,
            warning=figure.thresholds.warning,
            critical=figure.thresholds.critical,
            at=datetime.fromtimestamp(newest_ms / 1000, UTC),
            labels=labels,
        )


def _worst(figure: Figure, samples: list[Sample]) -> tuple[float | None, dict[str, str]]:
    """The worst value and the labels of its series."""
    value = figure.worst(sample.value for sample in samples)
    if value is None:
        return None, {}
    found = next(sample for sample in samples if sample.value == value)
    return value, dict(found.labels.without({METRIC_NAME}))
