"""What it takes to evaluate a hundred rules over ten thousand series, as the observer does every few seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Final

from benchmarks.figures import Figure
from observability.promql import Labels, MemorySeries
from observability.rules import GroupEvaluator, RuleGroup, parse

RULES: Final = 100
SERIES: Final = 10_000
SAMPLES: Final = 61
INTERVAL_MS: Final = 10_000
ROUNDS: Final = 5

SHAPES: Final = (
    "{m}_total unless {m}_total offset 1m",
    "rate({m}_total[5m]) > 1000",
    "sum by (service) (rate({m}_total[5m])) / on (service) group_left () max by (service) ({m}_total) > 1000",
    "avg by (service, host) ({m}_total) < 0",
    "max_over_time({m}_total[1m]) < 0",
    "topk(3, {m}_total) < 0",
    "absent({m}_total)",
    "histogram_quantile(0.95, sum by (le, service) (rate({m}_total[5m]))) > 1000",
    "predict_linear({m}_total[5m], 3600) < 0",
    "count without (host) ({m}_total > 5) < 1",
)
"""Of ten rules each, from the cheapest to the dearest that rules of operators have."""


def measure() -> list[Figure]:
    """Seconds for one evaluation of all rules, the slowest of some, once what depends on labels alone is known.

    `rules_of_their_metric`: a hundred metrics with a hundred series each, a rule for each metric, as rule files are.
    `rules_of_all_series`: one metric with all ten thousand series, which each of the hundred rules reads.
    """
    apart = [f"m{number}" for number in range(RULES)]
    return [
        *_figures("rules_of_their_metric", apart, bar="<= 1"),
        *_figures("rules_of_all_series", ["m"], bar="<= 1"),
    ]


def _figures(name: str, metrics: list[str], *, bar: str) -> Iterator[Figure]:
    source, now = MemorySeries(), [0]
    series = [labels for metric in metrics for labels in _series(metric, SERIES // len(metrics))]
    for sample in range(SAMPLES):
        _append(source, series, sample)
    evaluator = GroupEvaluator(_rules(metrics), source=source, sink=source, now_ms=lambda: now[0])
    seconds = []
    for sample in range(SAMPLES, SAMPLES + ROUNDS + 1):
        _append(source, series, sample)
        now[0] = sample * INTERVAL_MS
        begun = time.perf_counter()
        evaluation = evaluator.evaluate()
        seconds.append(time.perf_counter() - begun)
        if evaluation.failures:
            raise RuntimeError(f"a rule failed: {evaluation.failures[0].error}")
    yield Figure(name=name, value=max(seconds[1:]), unit="s", bar=bar)
    yield Figure(name=f"{name}_at_first", value=seconds[0], unit="s")


def _series(metric: str, number: int) -> Iterator[Labels]:
    bounds = ("0.1", "0.5", "1", "5", "+Inf")
    for index in range(number):
        yield Labels(
            {
                "__name__": f"{metric}_total",
                "service": f"service{index % 7}",
                "host": f"host{index % 50}",
                "instance": f"i{index // len(bounds)}",
                "le": bounds[index % len(bounds)],
            }
        )


def _append(source: MemorySeries, series: list[Labels], sample: int) -> None:
    for number, labels in enumerate(series):
        # Samples of a fleet come at their own times, not all at once.
        source.append(labels, time_ms=sample * INTERVAL_MS - number % 997, value=float(sample * (number % 13 + 1)))


def _rules(metrics: list[str]) -> RuleGroup:
    lines = ["groups:", "- name: benchmark", "  rules:"]
    for number in range(RULES):
        expression = SHAPES[number % len(SHAPES)].format(m=metrics[number % len(metrics)])
        lines += [f"  - alert: Alert{number}", f"    expr: {expression}", "    for: 1m"]
    (group,) = parse("\n".join(lines), file="benchmark.yml")
    return group
