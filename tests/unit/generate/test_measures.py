"""What is counted of answers."""

from __future__ import annotations

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from contracts.answers import Usage
from workers.generate.base import Answer, GeneratorIdentity, Removed
from workers.generate.measures import Measures


def test_what_was_kept_from_readers_is_counted_by_what_it_was() -> None:
    reader = InMemoryMetricReader()
    measures = Measures(MeterProvider([reader]).get_meter("test"), provider="openai", by_endpoints=True)
    removed = {Removed.LINK: 2, Removed.PROMPT: 1}
    answer = Answer(text="Yes.", answered=True, citations=(), usage=Usage(), removed=removed)
    for _ in range(2):
        measures.answered(GeneratorIdentity(model="small"), answer)
    data = reader.get_metrics_data()
    assert data
    metrics = {m.name: m for of_scope in data.resource_metrics[0].scope_metrics for m in of_scope.metrics}
    counted = {str(p.attributes["waggle.reason"]): p.value for p in metrics["waggle.generate.guarded"].data.data_points}
    assert counted == {"link": 4, "prompt": 2}
