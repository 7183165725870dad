"""The present values of the fleet's series as metric families: all series of one metric, with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from prometheus_client.core import Metric

from contracts.metrics import MetricKind
from contracts.silences import MatchOperator
from observability.exposition.registered import NOT_DESCRIBED
from observability.metadata import MetricMetadata
from observability.prometheus_names import RESERVED, TOTAL
from observability.promql.labels import METRIC_NAME
from observability.promql.matchers import Matcher, Selector
from observability.promql.source import SeriesSource
from observability.promql.staleness import DEFAULT_LOOKBACK_MS

_ALL: Final = Selector((Matcher(MatchOperator.REGEX, METRIC_NAME, ".+"),))


def latest_families(
    source: SeriesSource,
    metadata: Mapping[str, MetricMetadata],
    *,
    at_ms: int,
    lookback_ms: int = DEFAULT_LOOKBACK_MS,
) -> list[Metric]:
    """The present values of all series whose metric is known, by name.

    What rules record is not among them: it is asked for by query. Raises nothing; a source without series gives none.
    """
    families: dict[str, Metric] = {}
    for labels, value in source.latest(_ALL, at_ms=at_ms, lookback_ms=lookback_ms).samples:
        name = labels.metric_name
        family = _family_of(name, metadata)
        if family is None:
            continue
        metric = families.get(family)
        if metric is None:
            metric = families[family] = _described(family, metadata[family])
        metric.add_sample(name, {key: text for key, text in labels.items() if key != METRIC_NAME}, value)
    return [families[name] for name in sorted(families)]


def _family_of(name: str, metadata: Mapping[str, MetricMetadata]) -> str | None:
    if name in metadata:
        return name
    for ending in RESERVED:
        base = name.removesuffix(ending)
        if base != name and base in metadata and metadata[base].kind is MetricKind.HISTOGRAM:
            return base
    return None


def _described(name: str, metadata: MetricMetadata) -> Metric:
    # prometheus_client adds the ending of a counter itself.
    bare = name.removesuffix(TOTAL) if metadata.kind is MetricKind.COUNTER else name
    return Metric(bare, metadata.help or NOT_DESCRIBED, metadata.kind.value)
