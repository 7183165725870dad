"""Which series there are: what rules, figures and dashboards may ask for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Final

import promql_parser as syntax
import yaml

from contracts.metrics import Metric, MetricKind
from observability.intake.catalogue import CATALOGUE
from observability.prometheus_names import family_name

ROOT: Final = Path(__file__).parents[2]
HISTOGRAM: Final = ("_bucket", "_sum", "_count")

OBSERVED: Final = frozenset(
    name + ending
    for name, told in CATALOGUE.items()
    for ending in (HISTOGRAM if told.kind is MetricKind.HISTOGRAM else ("",))
)
"""What the observer makes of heartbeats, events, advisories and broker facts."""

WRITTEN_BY_RULES: Final = frozenset({"ALERTS", "ALERTS_FOR_STATE"})

SET_BY_OPERATORS: Final = frozenset({"waggle:query_floor:rate"})


@cache
def series_names() -> frozenset[str]:
    """All of them, with what shipped rules record."""
    return OBSERVED | WRITTEN_BY_RULES | SET_BY_OPERATORS | _measured() | recorded()


def recorded() -> frozenset[str]:
    """What shipped rules record."""
    files = (yaml.safe_load(file.read_text(encoding="utf-8")) for file in (ROOT / "deploy" / "rules").glob("*.yaml"))
    return frozenset(
        rule["record"] for file in files for group in file["groups"] for rule in group["rules"] if "record" in rule
    )


def names_in(expression: str) -> frozenset[str]:
    """The metrics that an expression asks for."""
    return frozenset(_selected(syntax.parse(expression)))


def _selected(node: object) -> list[str]:
    match node:
        case syntax.VectorSelector():
            assert node.name, "a selector without a metric name"
            return [node.name]
        case syntax.MatrixSelector():
            return _selected(node.vector_selector)
        case syntax.ParenExpr() | syntax.UnaryExpr() | syntax.AggregateExpr():
            return _selected(node.expr)
        case syntax.BinaryExpr():
            return _selected(node.lhs) + _selected(node.rhs)
        case syntax.Call():
            return [name for argument in node.args for name in _selected(argument)]
    return []


def _measured() -> frozenset[str]:
    """The table of docs/telemetry.md, in Prometheus' form."""
    found: set[str] = set()
    for line in (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if not line.startswith("| `") or len(cells) < 5 or not re.match(r"(counter|gauge|histogram)", cells[2]):
            continue
        kind, _, unit = cells[2].partition(", ")
        first, *others = re.findall(r"`([a-z_.]+)`", cells[1])
        for name in (first, *(first.rpartition(".")[0] * other.startswith(".") + other for other in others)):
            family = family_name(Metric(name=name, kind=MetricKind(kind), unit=unit))
            found |= {family + ending for ending in (HISTOGRAM if kind == MetricKind.HISTOGRAM else ("",))}
    return frozenset(found)
