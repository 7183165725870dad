"""A sample holds numbers that add up, or it is refused."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from contracts.errors import InvalidMessageError
from contracts.metrics import HistogramPoint, Metric, MetricKind, MetricsSample, NumberPoint


def sample(*metrics: Metric) -> MetricsSample:
    return MetricsSample(service="embed", instance="embed-1", started_at=datetime.now(UTC), metrics=metrics)


COUNTER = Metric(name="waggle.tested", kind=MetricKind.COUNTER, numbers=(NumberPoint(value=3),))
HISTOGRAM = Metric(
    name="waggle.took",
    kind=MetricKind.HISTOGRAM,
    unit="s",
    bounds=(0.1, 1.0),
    histograms=(HistogramPoint(attributes={"waggle.stage": "search"}, count=3, sum=1.5, counts=(1, 1, 1)),),
)


def test_a_sample_survives_its_journey() -> None:
    sent = sample(COUNTER, HISTOGRAM)
    assert MetricsSample.from_bytes(sent.to_bytes()) == sent


def body(**changed: Any) -> bytes:
    """A valid sample of one histogram, with parts of that metric changed."""
    whole = json.loads(sample(HISTOGRAM).to_bytes())
    whole["metrics"][0] |= changed
    return json.dumps(whole).encode()


@pytest.mark.parametrize(
    "changed",
    [
        {"name": "no spaces"},
        {"name": ""},
        {"bounds": [1.0, 0.1]},
        {"bounds": [0.1]},
        {"bounds": [0.1, float("inf")]},
        {"kind": "counter"},
        {"kind": "summary"},
        {"histograms": [{"count": 3, "sum": float("nan"), "counts": [1, 1, 1]}]},
        {"histograms": [{"count": 4, "sum": 1.0, "counts": [1, 1, 1]}]},
        {"histograms": [{"count": 1, "sum": 1.0, "counts": [2, 0, -1]}]},
        {"histograms": [{"count": 3, "sum": 1.0, "counts": [1, 1, 1], "attributes": {"a": "x" * 257}}]},
        {"histograms": [{"count": 3, "sum": 1.0, "counts": [1, 1, 1], "attributes": {str(n): "x" for n in range(17)}}]},
        {"numbers": [{"value": 1}]},
        {"surplus": 1},
    ],
    ids=lambda changed: json.dumps(changed)[:60],
)
def test_what_does_not_add_up_is_refused(changed: dict[str, Any]) -> None:
    MetricsSample.from_bytes(body())
    with pytest.raises(InvalidMessageError):
        MetricsSample.from_bytes(body(**changed))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_finite_number_is_refused(value: float) -> None:
    whole = json.loads(sample(COUNTER).to_bytes())
    whole["metrics"][0]["numbers"][0]["value"] = value
    with pytest.raises(InvalidMessageError):
        MetricsSample.from_bytes(json.dumps(whole).encode())
