"""How fast counters grow between two looks at the fleet."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cli.replies import Member


@dataclass(frozen=True)
class _Look:
    at: float
    progress: int
    cpu_s: float


class Rates:
    """Remembers the last two looks at every process. A process that started again begins anew."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._looks: dict[str, tuple[_Look, _Look]] = {}

    def look(self, members: Iterable[Member]) -> None:
        now = self._clock()
        looks: dict[str, tuple[_Look, _Look]] = {}
        for member in members:
            key, latest = _key(member), _Look(now, member.progress, member.cpu_s)
            looks[key] = (self._looks[key][1] if key in self._looks else latest, latest)
        self._looks = looks

    def progress(self, member: Member) -> float:
        """Messages finished per second."""
        before, latest = self._looks[_key(member)]
        return _per_second(latest.progress - before.progress, latest.at - before.at)

    def cpu(self, member: Member) -> float:
        """Processors in use: 1.0 is one core, all of the time."""
        before, latest = self._looks[_key(member)]
        return _per_second(latest.cpu_s - before.cpu_s, latest.at - before.at)


def _key(member: Member) -> str:
    return f"{member.service}/{member.instance}/{member.started_at}"


def _per_second(growth: float, seconds: float) -> float:
    return growth / seconds if seconds > 0 else 0.0
