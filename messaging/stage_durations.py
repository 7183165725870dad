"""How long each stage of a question took, as metrics: the timings that travel with its answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from opentelemetry.metrics import Meter

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class StageDurations:
    """Takes down the milliseconds of stages. What is no stage but a remark among the timings is to be named to it."""

    def __init__(self, meter: Meter, *, remarks: Iterable[str] = ()) -> None:
        self._remarks = frozenset(remarks)
        self._duration = meter.create_histogram(
            "waggle.query.stage.duration",
            unit="s",
            description="Time of a stage of a question.",
            explicit_bucket_boundaries_advisory=_BUCKETS_S,
        )

    def record(self, timings_ms: Mapping[str, float]) -> None:
        """Take down the stages of one question."""
        for stage, milliseconds in timings_ms.items():
            if stage not in self._remarks:
                self._duration.record(milliseconds / 1000, {"waggle.stage": stage})
