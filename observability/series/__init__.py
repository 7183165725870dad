"""The series of the fleet: an hour of samples in memory, a day of roll-ups on disk."""

from observability.series.disk import DiskFigures
from observability.series.metrics import StoreMetrics
from observability.series.quota import SeriesLimits, Source
from observability.series.store import SeriesStore, StoreFigures, StoreSettings

__all__ = ["DiskFigures", "SeriesLimits", "SeriesStore", "Source", "StoreFigures", "StoreMetrics", "StoreSettings"]
