"""A fleet that a test moves by hand: what its processes tell, and what an intake makes of it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from contracts import subjects
from contracts.health import HEARTBEAT_INTERVAL_S, Heartbeat, ProcessState
from contracts.message import Message
from contracts.metrics import Metric, MetricKind, MetricsSample, NumberPoint
from observability.intake import JUDGE_INTERVAL_S, Intake
from observability.promql import Labels, MemorySeries, parse

BEGAN = datetime(2026, 11, 1, tzinfo=UTC)


@dataclass
class Site:
    """An intake over series in memory, and the time of both its clocks: seconds since it began."""

    expected: dict[str, int] = field(default_factory=dict)
    known: dict[str, int] = field(default_factory=dict)
    own: tuple[str, str] | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.series = MemorySeries()
        self.intake = Intake(
            self.series,
            now_ms=lambda: self.now_ms,
            monotonic=lambda: self.now + 5000,
            expected=self.expected,
            known=self.known,
            own=self.own,
        )

    @property
    def time(self) -> datetime:
        return BEGAN + timedelta(seconds=self.now)

    @property
    def now_ms(self) -> int:
        return round(self.time.timestamp() * 1000)

    def pass_(self, seconds: float, *alive: Process, listening: bool = True) -> None:
        """Time passes; those that are alive tell their heartbeats, and who is alive is judged."""
        end = self.now + seconds
        while self.now < end:
            self.now += 1
            if round(self.now) % HEARTBEAT_INTERVAL_S == 0:
                self.tell(*alive)
            if round(self.now) % JUDGE_INTERVAL_S == 0:
                self.intake.tick(listening=listening)

    def tell(self, *processes: Process) -> None:
        """Heartbeats arrive."""
        for process in processes:
            beat = process.beat(self.time)
            self.intake.heartbeat(subjects.health(beat.service, beat.instance), beat.to_bytes())

    def fact(self, subject: str, event: Message, **headers: str) -> None:
        """A life-cycle fact arrives."""
        self.intake.event(subject, headers, event.to_bytes())

    def all(self, expression: str) -> dict[Labels, float]:
        """What an expression yields now."""
        return dict(parse(expression).instant(self.series, at_ms=self.now_ms).samples)

    def value(self, expression: str) -> float | None:
        """The one value that an expression yields now; None when there is none."""
        found = self.all(expression)
        assert len(found) <= 1, found
        return next(iter(found.values()), None)


@dataclass
class Process:
    """A process of a fleet. `skew_s` is how far its clock is ahead of the broker's."""

    service: str = "embed"
    instance: str = "embed-1"
    pid: int = 7
    host: str = "h1"
    version: str = "1"
    state: ProcessState = ProcessState.READY
    started_s: float = 0.0
    skew_s: float = 0.0
    progress: int = 0
    fields: dict[str, object] = field(default_factory=dict)

    def beat(self, now: datetime) -> Heartbeat:
        skew = timedelta(seconds=self.skew_s)
        return Heartbeat.model_validate(
            {
                "created_at": now + skew,
                "service": self.service,
                "instance": self.instance,
                "host": self.host,
                "version": self.version,
                "pid": self.pid,
                "started_at": BEGAN + timedelta(seconds=self.started_s) + skew,
                "state": self.state,
                "in_flight": 0,
                "progress": self.progress,
                "rss_bytes": 1,
                "cpu_s": 0,
                **self.fields,
            }
        )

    def sample(self, now: datetime, *metrics: Metric) -> MetricsSample:
        return MetricsSample(
            created_at=now,
            service=self.service,
            instance=self.instance,
            started_at=BEGAN + timedelta(seconds=self.started_s),
            metrics=metrics,
        )


def counter(name: str, value: float, *, unit: str = "", **attributes: str) -> Metric:
    """A counter with one series; underscores in the names of attributes stand for dots."""
    keyed = {key.replace("_", "."): text for key, text in attributes.items()}
    point = NumberPoint(attributes=keyed, value=value)
    return Metric(name=name, kind=MetricKind.COUNTER, unit=unit, description="Counted.", numbers=(point,))
