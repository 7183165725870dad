"""What metrics are: their kind, what they mean and their unit, by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from contracts.metrics import MetricKind

MOST_METRICS: Final = 4096


@dataclass(frozen=True, slots=True)
class MetricMetadata:
    """What is told of one metric. `unit` is the word that ends its name, as `seconds`; empty where it has none."""

    kind: MetricKind
    help: str
    unit: str = ""


class MetadataRegistry(Mapping[str, MetricMetadata]):
    """Metadata by the name of a metric: that of a counter with `_total`, that of a histogram without `_bucket`.

    The first that tells of a name is believed. Past `most` names nothing is added: series without metadata are untyped.
    """

    def __init__(self, known: Mapping[str, MetricMetadata] | None = None, *, most: int = MOST_METRICS) -> None:
        self._known = dict(known or {})
        self._most = most

    def add(self, name: str, metadata: MetricMetadata) -> None:
        """Take down what a metric is, if that is news and there is room."""
        if name not in self._known and len(self._known) < self._most:
            self._known[name] = metadata

    def __getitem__(self, name: str) -> MetricMetadata:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._known))

    def __len__(self) -> int:
        return len(self._known)
