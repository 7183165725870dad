"""What is counted of answers."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader, NumberDataPoint

from contracts.answers import Usage
from workers.generate.base import Answer, GeneratorIdentity, Removed
from workers.generate.measures import Measures


def counted(reader: InMemoryMetricReader, name: str) -> dict[str, float]:
    """By reason."""
    data = reader.get_metrics_data()
    assert data
    metrics = {m.name: m for of_scope in data.resource_metrics[0].scope_metrics for m in of_scope.metrics}
    points = [point for point in metrics[name].data.data_points if isinstance(point, NumberDataPoint)]
    return {str((point.attributes or {})["waggle.reason"]): point.value for point in points}


def test_what_was_kept_from_readers_is_counted_by_what_it_was() -> None:
    reader = InMemoryMetricReader()
    measures = Measures(MeterProvider([reader]).get_meter("test"), provider="openai", by_endpoints=True)
    removed = {Removed.LINK: 2, Removed.PROMPT: 1}
    answer = Answer(text="Yes.", answered=True, citations=(), usage=Usage(), removed=removed)
    for _ in range(2):
        measures.answered(GeneratorIdentity(model="small"), answer)
    assert counted(reader, "waggle.generate.guarded") == {"link": 4, "prompt": 2}
