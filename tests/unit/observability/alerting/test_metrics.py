"""Rules at work in figures."""

from __future__ import annotations

from typing import Any

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from observability.alerting import RuleBook, RuleMetrics
from tests.unit.observability.alerting.groups import KEY, RULES


def test_what_happens_to_rules_is_counted_by_group() -> None:
    reader = InMemoryMetricReader()
    metrics = RuleMetrics(MeterProvider([reader]).get_meter("test"))

    def figures() -> dict[str, float]:
        data: Any = reader.get_metrics_data()
        found = [metric for of in data.resource_metrics for scope in of.scope_metrics for metric in scope.metrics]
        return {
            f"{metric.name} {' '.join(map(str, (point.attributes or {}).values()))}".strip(): point.value
            for metric in found
            for point in metric.data.data_points
        }

    book = RuleBook(metrics)
    book.take({"rules.yml": RULES})
    metrics.evaluated(KEY, rules=3, failures=1, took_s=0.25)
    metrics.missed(KEY)
    metrics.unstored(KEY)
    assert figures() == {
        "waggle.rule.evaluations fleet": 3,
        "waggle.rule.evaluation.failures fleet": 1,
        "waggle.rule.evaluations.missed fleet": 1,
        "waggle.rule.states.unstored fleet": 1,
        "waggle.rule.group.duration fleet": 0.25,
        "waggle.rules.reload.successful": 1,
    }
    book.take({"rules.yml": "groups: 7"})
    metrics.clear()
    assert figures()["waggle.rules.reload.successful"] == 0
    assert "waggle.rule.group.duration fleet" not in figures()
