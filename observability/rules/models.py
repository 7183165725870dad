"""Rules, ready to be evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from observability.promql import Query
from observability.rules.templates import Template


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertingRule:
    """Every series that `query` yields is an alert, and fires once it has been there for `hold_ms` without a break."""

    name: str
    query: Query
    hold_ms: int = 0
    keep_firing_ms: int = 0
    labels: Mapping[str, Template]
    annotations: Mapping[str, Template]
    line: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """What `query` yields becomes the series `name`, with `labels` added."""

    name: str
    query: Query
    labels: Mapping[str, str]
    line: int = 1


Rule = AlertingRule | RecordingRule


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleGroup:
    """Rules that are evaluated one after the other at the same moment; a later one sees what an earlier one recorded.

    `interval_ms` is None where the file leaves it to whoever evaluates. `limit` bounds the series or active alerts of
    each rule; 0 is no limit.
    """

    name: str
    file: str
    rules: tuple[Rule, ...]
    interval_ms: int | None = None
    query_offset_ms: int = 0
    limit: int = 0
