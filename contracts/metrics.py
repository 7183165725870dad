"""What a process measures of itself, as it tells the fleet every few seconds."""

from __future__ import annotations

from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Self

from pydantic import AwareDatetime, Field, FiniteFloat, StringConstraints, model_validator

from contracts.identifiers import Token
from contracts.message import Message, Value

METRICS_INTERVAL_S = 10.0
LONGEST_VALUE = 256
"""Characters of an attribute's value; what is longer is cut."""
MOST_ATTRIBUTES = 16
MOST_BUCKETS = 64
MOST_METRICS = 1024
MOST_POINTS = 8192

Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.\-/]{0,254}$")]
Attributes = Annotated[
    dict[Name, Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]], Field(max_length=MOST_ATTRIBUTES)
]


class MetricKind(StrEnum):
    """`counter`: a sum that only grows. `gauge`: a value of this moment, also of a sum that may fall."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class NumberPoint(Value):
    """One series of a counter or gauge. Values are finite: what has no value has no point."""

    attributes: Attributes = Field(default_factory=dict)
    value: FiniteFloat


class HistogramPoint(Value):
    """One series of a histogram. `counts[i]` is of bucket i alone, the last one of what is above all bounds."""

    attributes: Attributes = Field(default_factory=dict)
    count: int = Field(ge=0)
    sum: FiniteFloat
    counts: tuple[Annotated[int, Field(ge=0)], ...] = Field(min_length=1, max_length=MOST_BUCKETS + 1)

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if sum(self.counts) != self.count:
            raise ValueError("the buckets do not add up to the count")
        return self


class Metric(Value):
    """All series of one name. `bounds` are the upper bounds (inclusive, ascending) of a histogram's buckets."""

    name: Name
    kind: MetricKind
    unit: str = Field(default="", max_length=63)
    description: str = Field(default="", max_length=1024)
    bounds: tuple[FiniteFloat, ...] = Field(default=(), max_length=MOST_BUCKETS)
    numbers: tuple[NumberPoint, ...] = Field(default=(), max_length=MOST_POINTS)
    histograms: tuple[HistogramPoint, ...] = Field(default=(), max_length=MOST_POINTS)

    @model_validator(mode="after")
    def _is_of_one_kind(self) -> Self:
        is_histogram = self.kind is MetricKind.HISTOGRAM
        if (self.numbers and is_histogram) or ((self.histograms or self.bounds) and not is_histogram):
            raise ValueError(f"these points are not those of a {self.kind}")
        if any(low >= high for low, high in pairwise(self.bounds)):
            raise ValueError("the bounds do not ascend")
        if any(len(point.counts) != len(self.bounds) + 1 for point in self.histograms):
            raise ValueError("a histogram has one bucket more than bounds")
        return self


class MetricsSample(Message):
    """What one process has measured. One that would be too large travels as several, each whole on its own.

    Counters and histograms are cumulative. Another `started_at` under the same instance is another process, whose counts
    begin anew. Both times are the broker's. `resource` is what every series has in common.
    """

    service: Token
    instance: Token
    started_at: AwareDatetime
    resource: Annotated[
        dict[Name, Annotated[str, StringConstraints(max_length=LONGEST_VALUE)]], Field(max_length=64)
    ] = Field(default_factory=dict)
    metrics: tuple[Metric, ...] = Field(max_length=MOST_METRICS)
