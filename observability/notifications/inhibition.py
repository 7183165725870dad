"""Alerts that follow from another one, of which nobody needs to be told while that one fires."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from contracts.alerts import AlertEvent
from observability.notifications.configuration import InhibitRule
from observability.notifications.dependents import Dependents, Graph
from observability.notifications.matchers import Matchers

MAX_SOURCES = 20_000
"""Of one rule. Sources beyond inhibit nothing: rather too many messages than too few."""

_Values = tuple[str, ...]


class Inhibition:
    """The inhibit rules, and the alerts that fire as their sources. Told of every alert by `observe`. With `graph`, the
    dependency graph of the moment, alerts on components that only suffer are inhibited, too.

    As in Alertmanager an alert that is both source and target of a rule is not inhibited by others that are both, so none
    inhibits itself.
    """

    def __init__(self, rules: Iterable[InhibitRule], *, graph: Graph | None = None) -> None:
        self._rules = [_Rule(rule) for rule in rules]
        self._dependents = None if graph is None else Dependents(graph)

    def observe(self, alert: AlertEvent) -> None:
        for rule in self._rules:
            rule.observe(alert)
        if self._dependents is not None:
            self._dependents.observe(alert)

    def inhibiting(self, labels: Mapping[str, str]) -> str | None:
        """The fingerprint of an alert for which these labels are inhibited, or None."""
        by_rule = next((found for rule in self._rules if (found := rule.inhibiting(labels)) is not None), None)
        return self._dependents.inhibiting(labels) if by_rule is None and self._dependents is not None else by_rule


class _Rule:
    """One rule, with its firing sources by the values of its equal labels: a look-up costs no walk through all alerts."""

    def __init__(self, rule: InhibitRule) -> None:
        self._source = Matchers.parse(rule.source_matchers)
        self._target = Matchers.parse(rule.target_matchers)
        self._equal = rule.equal
        self._sources: dict[_Values, dict[str, bool]] = {}
        self._count = 0

    def observe(self, alert: AlertEvent) -> None:
        if not self._source.accept(alert.labels):
            return
        values = self._values(alert.labels)
        known = alert.fingerprint in self._sources.get(values, {})
        if alert.is_firing and not known and self._count < MAX_SOURCES:
            self._sources.setdefault(values, {})[alert.fingerprint] = self._target.accept(alert.labels)
            self._count += 1
        elif known and not alert.is_firing:
            self._remove(values, alert.fingerprint)

    def _remove(self, values: _Values, fingerprint: str) -> None:
        firing = self._sources[values]
        del firing[fingerprint]
        self._count -= 1
        if not firing:
            del self._sources[values]

    def inhibiting(self, labels: Mapping[str, str]) -> str | None:
        if not self._target.accept(labels):
            return None
        two_sided = self._source.accept(labels)
        firing = self._sources.get(self._values(labels), {})
        return next((name for name, is_target in firing.items() if not (two_sided and is_target)), None)

    def _values(self, labels: Mapping[str, str]) -> _Values:
        return tuple(labels.get(name, "") for name in self._equal)
