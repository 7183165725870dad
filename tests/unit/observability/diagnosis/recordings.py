"""Recorded signals of a fleet: series at the intervals at which the observer gets them, healthy unless a test changes some."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from observability.promql import Labels, MemorySeries
from observability.promql.labels import METRIC_NAME

Floats = npt.NDArray[np.floating[Any]]
Course = float | Callable[[Floats], Floats]
"""A value for all times, or one for each time in seconds."""

MIB: Final = 1024.0**2
DURATIONS_S: Final = (0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0)
STEP_S: Final = 10.0
BEAT_S: Final = 3.0


@dataclass
class Recording:
    """`minutes` of signals, from second 0 on. What is set again replaces what was there before."""

    minutes: float = 60.0
    seed: int = 0
    series: dict[Labels, tuple[Floats, Floats]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)

    @property
    def end_ms(self) -> int:
        return round(self.minutes * 60_000)

    def times(self, every_s: float) -> Floats:
        return np.arange(0.0, self.minutes * 60 + 0.001, every_s)

    def gauge(self, name: str, course: Course, every_s: float = STEP_S, /, **labels: str) -> None:
        times = self.times(every_s)
        self._put(name, labels, times, _values(course, times))

    def beat(self, name: str, course: Course, **labels: str) -> None:
        """A gauge of heartbeats."""
        self.gauge(name, course, BEAT_S, **labels)

    def counter(self, name: str, rate: Course, restarts_s: Iterable[float] = (), /, **labels: str) -> None:
        """`rate` is for each second; after a restart it begins at 0 again."""
        times = self.times(STEP_S)
        self._put(name, labels, times, _counted(times, _values(rate, times) * STEP_S, restarts_s))

    def histogram(
        self, name: str, rate: Course, durations: Course, restarts_s: Iterable[float] = (), /, **labels: str
    ) -> None:
        """`rate` observations each second, of the durations that they have then, spread by a fifth."""
        times = self.times(STEP_S)
        counts, took = _values(rate, times) * STEP_S, _values(durations, times)
        self._put(f"{name}_count", labels, times, _counted(times, counts, restarts_s))
        self._put(f"{name}_sum", labels, times, _counted(times, counts * took, restarts_s))
        for bound in (*DURATIONS_S, np.inf):
            share = np.clip((bound / took - 0.8) / 0.4, 0, 1) if np.isfinite(bound) else np.ones_like(took)
            le = "+Inf" if np.isinf(bound) else f"{bound:g}"
            self._put(f"{name}_bucket", {**labels, "le": le}, times, _counted(times, counts * share, restarts_s))

    def drop(self, name: str, **labels: str) -> None:
        """There is no such series."""
        for series in self._named(name, labels):
            del self.series[series]

    def stop(self, name: str, *, at_s: float, **labels: str) -> None:
        """Nothing comes any more from then on."""
        for series in self._named(name, labels):
            times, values = self.series[series]
            self.series[series] = times[times < at_s], values[times < at_s]

    def begin(self, name: str, *, at_s: float, **labels: str) -> None:
        """It is not there before."""
        for series in self._named(name, labels):
            times, values = self.series[series]
            self.series[series] = times[times >= at_s], values[times >= at_s]

    def source(self) -> MemorySeries:
        found = MemorySeries(retention_ms=10**9, most_samples=100_000)
        for series, (times, values) in self.series.items():
            if len(times):
                assert found.extend(series, np.round(times * 1000).astype(np.int64), values.astype(np.float64))
        return found

    def noise(self, times: Floats, spread: float) -> Floats:
        """Around 1."""
        return np.clip(1 + spread * self.random.standard_normal(len(times)), 0.05, None)

    def _put(self, name: str, labels: dict[str, str], times: Floats, values: Floats) -> None:
        known = ~np.isnan(values)
        self.series[Labels({METRIC_NAME: name, **labels})] = times[known], values[known]

    def _named(self, name: str, labels: dict[str, str]) -> list[Labels]:
        wanted = {METRIC_NAME: name, **labels}.items()
        found = [series for series in self.series if wanted <= dict(series).items()]
        assert found, f"there is no {name} {labels}"
        return found


SERVICES: Final = {
    "gateway": (1, ("ledger",)),
    "retrieve": (2, ("index", "encoder")),
    "generate": (2, ("generator",)),
    "ingest": (1, ("parser", "uploads")),
    "embed": (2, ("index", "encoder")),
    "keeper": (1, ()),
    "observer": (1, ()),
}
CONSUMERS: Final = {
    "retrieve": ("QUERY", "retrieve", 5.0, 0.2),
    "generate-stable": ("GENERATE", "generate", 4.0, 0.8),
    "ingest": ("INGEST", "ingest", 0.5, 1.0),
    "embed": ("EMBED", "embed", 2.0, 0.3),
    "purge": ("EMBED", "embed", 0.05, 0.1),
}
"""Stream, service, messages each second, and seconds for each."""
STAGES: Final = {"encode": ("retrieve", 0.05), "search": ("retrieve", 0.15), "generate": ("generate", 0.8)}
QUESTIONS: Final = 5.0
LONG_AGO_S: Final = -86_400.0


def healthy(*, minutes: float = 60.0, seed: int = 0, noise: float = 0.0) -> Recording:
    """A fleet at work in which nothing is wrong. `noise` is the spread of all that varies, as a share."""
    made = Recording(minutes=minutes, seed=seed)

    def around(value: float) -> Callable[[Floats], Floats]:
        return lambda times: value * made.noise(times, noise)

    for service, (instances, backends) in SERVICES.items():
        made.beat("waggle_service_alive", instances, service=service)
        made.beat("waggle_service_expected", instances, service=service)
        for number in range(1, instances + 1):
            process(made, service, f"{service}-{number}", backends=backends, noise=noise)
    for consumer, (stream, service, rate, took_s) in CONSUMERS.items():
        names = {"stream": stream, "consumer": consumer}
        waits = around(10.0) if noise else 0.0
        made.gauge("waggle_consumer_pending", _floor(waits), **names)
        made.gauge("waggle_consumer_redelivered", 0.0, **names)
        made.gauge("waggle_consumer_oldest_seconds", around(0.5), **names)
        instances = SERVICES[service][0]
        for number in range(1, instances + 1):
            work(made, consumer, f"{service}-{number}", around(rate / instances), around(took_s))
    for outcome, rate in {"answered": 4.9, "no_answer": 0.1, "failed": 0.002, "cancelled": 0.01}.items():
        made.counter("waggle_queries_total", around(rate), outcome=outcome)
    made.counter("waggle_query_failures_total", around(0.002), code="deadline_exceeded")
    made.histogram("waggle_query_duration_seconds", around(QUESTIONS), around(1.1))
    for stage, (service, took_s) in STAGES.items():
        who = {"service": service, "instance": f"{service}-1", "waggle_stage": stage}
        made.histogram("waggle_query_stage_duration_seconds", around(QUESTIONS), around(took_s), **who)
    made.gauge("waggle_broker_up", 1.0)
    made.gauge("waggle_dead_letters", 3.0)
    used = around(0.6) if noise else 0.6
    filesystem(made, "keeper-1", used if noise < 0.1 else 0.6)
    return made


def process(
    made: Recording, service: str, instance: str, *, backends: Iterable[str] = (), noise: float = 0.0, version: str = "1",
    track: str = "stable",
) -> None:  # fmt: skip
    """A process that has run for a day, on the host north."""
    who = {"service": service, "instance": instance}
    made.beat("waggle_up", 1.0, **who)
    made.beat("waggle_process_info", 1.0, **who, version=version, track=track, host="north")
    made.beat("waggle_process_state", 1.0, **who, state="ready")
    made.beat("waggle_process_start_time_seconds", LONG_AGO_S, **who)
    for backend in (*backends, "broker"):
        made.beat("waggle_backend_up", 1.0, **who, backend=backend)
    made.gauge("process_uptime_seconds", lambda times: times - LONG_AGO_S, **who)
    made.gauge("process_memory_usage_bytes", lambda times: 400 * MIB * made.noise(times, noise), **who)


def work(
    made: Recording,
    consumer: str,
    instance: str,
    rate: Course,
    took_s: Course,
    *,
    outcome: str = "acked",
    restarts_s: Iterable[float] = (),
    **more: str,
) -> None:
    """What an instance has done for a consumer."""
    stream, service = CONSUMERS[consumer][:2]
    labels = {
        "service": service,
        "instance": instance,
        "messaging_destination_name": stream,
        "messaging_consumer_group_name": consumer,
        "waggle_outcome": outcome,
    }
    made.histogram("messaging_process_duration_seconds", rate, took_s, restarts_s, **labels, **more)


def filesystem(made: Recording, instance: str, used: Course, *, mount: str = "/") -> None:
    service = instance.rpartition("-")[0]
    who = {"service": service, "instance": instance, "system_filesystem_mountpoint": mount}
    made.gauge("system_filesystem_utilization", used, **who, system_filesystem_state="used")


def from_s(start_s: float, before: float, after: float) -> Callable[[Floats], Floats]:
    """One value, and another from a time on."""
    return lambda times: np.where(times < start_s, before, after)


def _values(course: Course, times: Floats) -> Floats:
    return np.full_like(times, course) if isinstance(course, int | float) else course(times)


def _counted(times: Floats, increments: Floats, restarts_s: Iterable[float]) -> Floats:
    total = np.cumsum(np.concatenate([[0.0], increments[1:]]))
    for restart_s in restarts_s:
        after = times >= restart_s
        total[after] -= total[after][0]
    return total


def _floor(course: Course) -> Course:
    return course if isinstance(course, int | float) else lambda times: np.floor(course(times))
