"""What the observer needs of whoever gathers the fleet's series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from contracts.observing import RequestKind
from messaging.observing import Handler
from observability.dependencies import DependencyGraph
from observability.intake.processes import SeenProcess
from observability.promql import SeriesSink, SeriesSource


class Series(SeriesSource, SeriesSink, Protocol):
    """Series that rules read and write, in threads, while others come in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """Who was heard of. `hears`: whether heartbeats could have been heard lately; `waiting` are messages at the consumers of a
    service that nobody has in hand, by its name.
    """

    processes: tuple[SeenProcess, ...]
    hears: bool
    waiting: Mapping[str, int]


class Intake(Protocol):
    """Gathers series for as long as the process lives, whether it leads or not."""

    @property
    def series(self) -> Series: ...

    @property
    def graph(self) -> DependencyGraph:
        """Who needs whom, by what was gathered until now."""
        ...

    def heard(self) -> Heard:
        """The processes as they were last heard."""
        ...

    async def run(self) -> None:
        """Until cancelled."""
        ...

    def handlers(self) -> Mapping[RequestKind, Handler]:
        """Who answers which questions about the series, while the observer leads."""
        ...
