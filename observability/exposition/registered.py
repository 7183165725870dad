"""What a process measures of itself, as its own `/metrics` shows it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from prometheus_client.core import Metric

from observability.prometheus_names import unreserved

NOT_DESCRIBED: Final = "Not described."

_CREATED: Final = "_created"
_WITH_PARTS: Final = frozenset({"histogram", "gaugehistogram", "summary"})


def registered_families(collected: Iterable[Metric]) -> list[Metric]:
    """What a registry of prometheus_client holds, under names that Prometheus' own tools accept (see `unreserved`), without when each series
    was made: the text format makes metrics of their own of these.
    """
    return [_renamed(metric) for metric in collected]


def _renamed(metric: Metric) -> Metric:
    name = metric.name if metric.type in _WITH_PARTS else unreserved(metric.name)
    samples = [sample for sample in metric.samples if not sample.name.endswith(_CREATED)]
    if name == metric.name and metric.documentation and len(samples) == len(metric.samples):
        return metric
    renamed = Metric(name, metric.documentation or NOT_DESCRIBED, metric.type)
    for sample in samples:
        renamed.add_sample(name + sample.name.removeprefix(metric.name), sample.labels, sample.value)
    return renamed
