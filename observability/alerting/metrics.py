"""Rules at work in figures: `waggle.rule.…`."""

from __future__ import annotations

from opentelemetry.metrics import Meter, NoOpMeter, Observation

from observability.alerting.records import GroupKey

GROUP = "rule.group"


class RuleMetrics:
    """By group. Groups of one name in several files are counted together."""

    def __init__(self, meter: Meter | None = None) -> None:
        self._meter = meter or NoOpMeter("waggle")
        self._evaluations = self._meter.create_counter("waggle.rule.evaluations", description="Rules evaluated.")
        self._failures = self._meter.create_counter(
            "waggle.rule.evaluation.failures", description="Rules that could not be evaluated."
        )
        self._missed = self._meter.create_counter(
            "waggle.rule.evaluations.missed", description="Turns of groups that were still at the one before."
        )
        self._unstored = self._meter.create_counter(
            "waggle.rule.states.unstored", description="States of groups that could not be stored."
        )
        self._took_s: dict[str, float] = {}
        self._reloaded: bool | None = None
        self._meter.create_observable_gauge(
            "waggle.rule.group.duration",
            [lambda _: [Observation(took_s, {GROUP: name}) for name, took_s in list(self._took_s.items())]],
            unit="s",
            description="How long the last evaluation of a group took.",
        )
        self._meter.create_observable_gauge(
            "waggle.rules.reload.successful",
            [lambda _: [] if self._reloaded is None else [Observation(int(self._reloaded))]],
            description="Whether all files and texts of rules are in force as they are now.",
        )

    def evaluated(self, key: GroupKey, *, rules: int, failures: int, took_s: float) -> None:
        of = {GROUP: key.name}
        self._evaluations.add(rules, of)
        self._failures.add(failures, of)
        self._took_s[key.name] = took_s

    def missed(self, key: GroupKey) -> None:
        self._missed.add(1, {GROUP: key.name})

    def unstored(self, key: GroupKey) -> None:
        self._unstored.add(1, {GROUP: key.name})

    def forget(self, key: GroupKey) -> None:
        """A group is not evaluated here any more."""
        self._took_s.pop(key.name, None)

    def clear(self) -> None:
        """No group is."""
        self._took_s.clear()

    def reloaded(self, *, successful: bool) -> None:
        self._reloaded = successful
