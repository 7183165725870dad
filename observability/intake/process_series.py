"""What a heartbeat says, as series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from contracts.health import PROGRESS_CHECK, BackendCheck, CheckStatus, Heartbeat
from contracts.metrics import LONGEST_VALUE
from observability.intake import catalogue
from observability.promql.labels import METRIC_NAME, Labels

MOST_BACKENDS: Final = 32

_LARGEST: Final = 2**63
"""Integers of a message may be of any size; those of a sample may not."""

_BACKEND_VALUES: Final = {CheckStatus.OK: 1.0, CheckStatus.DEGRADED: 0.5, CheckStatus.FAILING: 0.0}


@dataclass(slots=True)
class ProcessSeries:
    """Names the series of one process, and says what a heartbeat makes of them. Label sets are made once."""

    service: str
    instance: str
    _known: dict[tuple[str, ...], Labels] = field(default_factory=dict)

    def labels(self, name: str, **further: str) -> Labels:
        """The series `name` of this process."""
        key = (name, *further.values())
        if (known := self._known.get(key)) is None:
            identity = {METRIC_NAME: name, "service": self.service, "instance": self.instance}
            cut = {label: value[:LONGEST_VALUE] for label, value in further.items()}
            known = self._known[key] = Labels(identity | cut)
        return known

    def of(self, beat: Heartbeat, *, arrived_s: float, start_s: float) -> Iterator[tuple[Labels, float]]:
        """All but `waggle_up`. `arrived_s` and `start_s` are seconds since 1970 by the broker's clock."""
        # One process's label sets stay few: its versions, hosts and backends change when it is another one.
        if len(self._known) > 4 * MOST_BACKENDS:
            self._known.clear()
        info = self.labels(catalogue.PROCESS_INFO, version=beat.version, track=beat.track, host=beat.host)
        yield info, 1.0
        yield self.labels(catalogue.PROCESS_STATE, state=beat.state.value), 1.0
        yield self.labels(catalogue.PROCESS_START), start_s
        yield self.labels(catalogue.IN_FLIGHT), float(min(beat.in_flight, _LARGEST))
        yield self.labels(catalogue.OLDEST_IN_FLIGHT), beat.oldest_in_flight_s or 0.0
        yield self.labels(catalogue.PROGRESS), float(min(beat.progress, _LARGEST))
        if beat.last_progress_at is not None:
            ago_s = (beat.created_at - beat.last_progress_at).total_seconds()
            yield self.labels(catalogue.LAST_PROGRESS), arrived_s - ago_s
        yield self.labels(catalogue.CLOCK_SKEW), beat.created_at.timestamp() - arrived_s
        for check in beat.checks[:MOST_BACKENDS]:
            yield from self._check(check)

    def _check(self, check: BackendCheck) -> Iterator[tuple[Labels, float]]:
        if check.name == PROGRESS_CHECK:
            yield self.labels(catalogue.STUCK), float(check.status is CheckStatus.FAILING)
            return
        value = _BACKEND_VALUES.get(check.status)
        if value is None:
            return
        yield self.labels(catalogue.BACKEND_UP, backend=check.name), value
        if check.latency_ms is not None:
            yield self.labels(catalogue.BACKEND_LATENCY, backend=check.name), check.latency_ms / 1000
