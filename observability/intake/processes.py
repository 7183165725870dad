"""Which processes there are, which are alive, and what they say of themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from contracts.health import HEARTBEAT_INTERVAL_S, MISSED_HEARTBEATS, Heartbeat, ProcessState
from observability.intake import catalogue
from observability.intake.process_series import ProcessSeries
from observability.intake.series_group import SeriesGroup
from observability.intake.services import Services
from observability.intake.succession import Standing, Succession
from observability.promql.labels import Labels
from observability.promql.source import SeriesSink
from observability.promql.staleness import STALE

DEAD_AFTER_S: Final = HEARTBEAT_INTERVAL_S * MISSED_HEARTBEATS
LATE_SHARE: Final = 2 / 3
"""Of that, after which a process is late: of many that fall silent at one moment all are by the time the first one is dead."""
FORGOTTEN_AFTER_S: Final = 600.0
DEAF_AFTER_S: Final = 1.5 * HEARTBEAT_INTERVAL_S
"""So long without a heartbeat of our own, and it is us who do not hear; others are judged dead later than that."""
PAUSED_AFTER_S: Final = 6.0
"""Between two judgements: then we stood still, and heartbeats may wait unread."""
SAME_CLOCK_S: Final = 5.0
"""What a heartbeat may be under way, and its clock be off, without being corrected."""
MOST_PROCESSES: Final = 1024

Identity = tuple[datetime, int, str]
Name = tuple[str, str]
"""Service and instance."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenProcess:
    """The newest heartbeat of a process that is not forgotten yet, and whether the process lives. One that is `late` has missed
    two heartbeats, or was dead until as long ago: others that fell silent with it may not have been heard yet.
    """

    beat: Heartbeat
    alive: bool
    late: bool = False


@dataclass(slots=True)
class _Process:
    """A process as it was last heard. Times in seconds: `first_heard` and `heard` of our own clock, others the broker's."""

    beat: Heartbeat
    series: ProcessSeries
    group: SeriesGroup
    succession: Succession[Identity]
    first_heard: float
    heard: float
    arrived_ms: int
    start_s: float
    told: bool = False
    conflicts: int = 0
    succeeds: bool = False
    back: float | None = None
    """When it was found alive again after it was dead."""

    @property
    def up(self) -> Labels:
        return self.series.labels(catalogue.UP)

    @property
    def named_by_process_id(self) -> bool:
        """As by default: started again it has another name."""
        return self.beat.instance.endswith(f"-{self.beat.pid}")

    @property
    def place(self) -> Name:
        """Where it runs as what."""
        return self.beat.service, self.beat.host


class Processes:
    """Keeps the newest heartbeat of each process; `judge` makes series of them and says who is dead.

    A process is dead after three missed heartbeats by our own monotonic clock, and forgotten ten minutes later. One that
    was draining when it fell silent has stopped as it was told to: its series end. While we do not hear (no connection, or
    not even our own heartbeats, or we stood still) nobody is judged, and that time counts as nobody's silence.
    """

    def __init__(
        self, sink: SeriesSink, services: Services, *, monotonic: Callable[[], float], own: Name | None = None
    ) -> None:
        """`own`: the name of the process that this runs in, if it tells heartbeats."""
        self._sink = sink
        self._services = services
        self._monotonic = monotonic
        self._own = own
        self._processes: dict[Name, _Process] = {}
        self._dead: dict[Name, None] = {}  # in the order of their deaths
        self._hearing_since: float | None = None
        self._deaf = False
        self._judged = monotonic()
        self.refused = 0
        """Heartbeats of processes beyond those that there is room for."""

    def __len__(self) -> int:
        return len(self._processes)

    @property
    def hears(self) -> bool:
        """Whether the last judgement could judge: otherwise it is us who do not hear."""
        return self._hearing_since is not None and not self._deaf

    def seen(self) -> list[SeenProcess]:
        """All processes, dead as of the last judgement, late as of now."""
        now = self._monotonic()
        return [
            SeenProcess(beat=each.beat, alive=name not in self._dead, late=self._is_late(each, now))
            for name, each in self._processes.items()
        ]

    def hear(self, beat: Heartbeat, *, time_ms: int) -> None:
        """Take note of a heartbeat that has just arrived. Cheap: nothing is written."""
        now = self._monotonic()
        process = self._processes.get((beat.service, beat.instance))
        if process is None:
            self._add(beat, now, time_ms)
            return
        lives = now - process.heard <= DEAD_AFTER_S
        standing = process.succession.judge(_identity(beat), current_lives=lives)
        if standing is Standing.REPLACED:
            process.conflicts += beat.state is not ProcessState.DRAINING  # one that makes room for its successor
            return
        if standing is Standing.NEW:
            process.first_heard, process.start_s = now, _start_s(beat, time_ms)
        process.beat, process.heard, process.arrived_ms, process.told = beat, now, time_ms, False

    def judge(self, *, time_ms: int, listening: bool) -> None:
        """Say who is alive, and tell what is new. `listening`: whether heartbeats could have arrived until now."""
        now = self._monotonic()
        passed_s, self._judged = now - self._judged, now
        if not listening or passed_s > PAUSED_AFTER_S:
            self._hearing_since = None
            return
        if self._is_deaf(now):
            self._excuse(passed_s, now)
            return
        self._deaf = False
        if self._hearing_since is None:
            self._hearing_since = now
        newcomers = self._newcomers(now) if self._dead or self._somebody_dies(now) else {}
        for name, process in list(self._processes.items()):
            self._judge(name, process, newcomers, now, time_ms)
        self._services.write(self._alive(), now=now, time_ms=time_ms)

    def _is_deaf(self, now: float) -> bool:
        ourselves = self._processes.get(self._own) if self._own else None
        return ourselves is not None and now - ourselves.heard > DEAF_AFTER_S

    def _excuse(self, passed_s: float, now: float) -> None:
        """What we could not hear is nobody's silence. That we do not hear is noticed late: also what went before counts."""
        if not self._deaf:
            self._deaf = True
            passed_s = DEAF_AFTER_S - HEARTBEAT_INTERVAL_S + passed_s
        for name, process in self._processes.items():
            if name != self._own:
                process.heard = min(now, process.heard + passed_s)

    def _silent_s(self, process: _Process, now: float) -> float:
        return now - max(process.heard, self._hearing_since or 0.0)

    def _is_late(self, process: _Process, now: float) -> bool:
        bound_s = LATE_SHARE * DEAD_AFTER_S
        just_back = process.back is not None and now - process.back <= bound_s
        return just_back or self._silent_s(process, now) > bound_s

    def _judge(
        self, name: Name, process: _Process, newcomers: Mapping[Name, list[_Process]], now: float, time_ms: int
    ) -> None:
        silent_s = self._silent_s(process, now)
        if silent_s <= DEAD_AFTER_S:
            if name in self._dead:
                process.back = now
            self._dead.pop(name, None)
            self._tell(process, time_ms)
        elif process.beat.state is ProcessState.DRAINING:
            self._services.leave(process.beat.service)
            self._forget(name, process, time_ms)
        elif silent_s > DEAD_AFTER_S + FORGOTTEN_AFTER_S or _has_successor(process, newcomers):
            self._forget(name, process, time_ms)
        else:
            self._bury(name, process, time_ms)

    def _tell(self, process: _Process, time_ms: int) -> None:
        self._sink.append(process.up, time_ms=time_ms, value=1.0)
        if process.told:
            return
        process.told = True
        values = process.series.of(process.beat, arrived_s=process.arrived_ms / 1000, start_s=process.start_s)
        process.group.write(self._with_conflicts(process, values), time_ms=process.arrived_ms)

    @staticmethod
    def _with_conflicts(process: _Process, values: Iterator[tuple[Labels, float]]) -> Iterator[tuple[Labels, float]]:
        yield from values
        yield process.series.labels(catalogue.INSTANCE_CONFLICTS), process.conflicts

    def _bury(self, name: Name, process: _Process, time_ms: int) -> None:
        """What it said last is true no more; that it is dead is."""
        if name not in self._dead:
            self._dead[name] = None
            process.group.end(time_ms=time_ms)
        self._sink.append(process.up, time_ms=time_ms, value=0.0)

    def _forget(self, name: Name, process: _Process, time_ms: int) -> None:
        process.group.end(time_ms=time_ms)
        self._sink.append(process.up, time_ms=time_ms, value=STALE)
        self._dead.pop(name, None)
        del self._processes[name]

    def _somebody_dies(self, now: float) -> bool:
        return any(self._silent_s(process, now) > DEAD_AFTER_S for process in self._processes.values())

    def _newcomers(self, now: float) -> dict[Name, list[_Process]]:
        """By service and host those that may have been started in the place of another, the youngest last."""
        found: dict[Name, list[_Process]] = {}
        for process in sorted(self._processes.values(), key=lambda process: process.first_heard):
            if process.named_by_process_id and not process.succeeds and self._silent_s(process, now) <= DEAD_AFTER_S:
                found.setdefault(process.place, []).append(process)
        return found

    def _alive(self) -> dict[str, int]:
        alive = dict[str, int]()
        for name, process in self._processes.items():
            service = process.beat.service
            alive[service] = alive.get(service, 0) + (name not in self._dead)
        return alive

    def _add(self, beat: Heartbeat, now: float, time_ms: int) -> None:
        if len(self._processes) >= MOST_PROCESSES and not self._make_room(time_ms):
            self.refused += 1
            return
        self._processes[beat.service, beat.instance] = _Process(
            beat=beat,
            series=ProcessSeries(beat.service, beat.instance),
            group=SeriesGroup(self._sink),
            succession=Succession(_identity(beat)),
            first_heard=now,
            heard=now,
            arrived_ms=time_ms,
            start_s=_start_s(beat, time_ms),
        )

    def _make_room(self, time_ms: int) -> bool:
        """Forget the one that is dead for longest; whoever is alive stays, however many are invented."""
        name = next(iter(self._dead), None)
        if name is None:
            return False
        self._forget(name, self._processes[name], time_ms)
        return True


def _identity(beat: Heartbeat) -> Identity:
    return beat.started_at, beat.pid, beat.host


def _has_successor(process: _Process, newcomers: Mapping[Name, list[_Process]]) -> bool:
    """Whether another process was started in its place, under another name: each succeeds one."""
    candidates = newcomers.get(process.place) if process.named_by_process_id else None
    if not candidates or candidates[-1].first_heard <= process.heard:
        return False
    candidates.pop().succeeds = True
    return True


def _start_s(beat: Heartbeat, arrived_ms: int) -> float:
    """When it started by the broker's clock. One that has another clock still knows how old it is."""
    arrived_s = arrived_ms / 1000
    if abs(beat.created_at.timestamp() - arrived_s) <= SAME_CLOCK_S:
        return beat.started_at.timestamp()
    return arrived_s - max(0.0, (beat.created_at - beat.started_at).total_seconds())
