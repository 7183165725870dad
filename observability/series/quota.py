"""How many series there may be: in all, of one source, of one metric of one source.

So a process that makes up label values without end fills its own share, and nobody else's.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from observability.promql.labels import Labels

SERVICE: Final = "service"
INSTANCE: Final = "instance"
MOST_SOURCES_TOLD: Final = 256
"""How many sources refusals are counted apart for."""

Key = TypeVar("Key")


class Source(NamedTuple):
    """Whose series it is: a process, a service as a whole, or (both empty) the installation."""

    service: str = ""
    instance: str = ""

    @classmethod
    def of(cls, series: Labels) -> Source:
        return cls(series.get(SERVICE, ""), series.get(INSTANCE, ""))


OTHERS: Final = Source("others", "")
"""Where refusals are counted once too many sources had some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesLimits:
    """`in_all` bounds the memory; the others keep one source from taking what all share."""

    in_all: int = 50_000
    of_source: int = 5_000
    of_metric: int = 3_500
    """Of one metric of one source: every instrument's most series (`observability.cardinality`) with ten buckets each."""


class SeriesQuota:
    """Knows how many series each source has, and refuses new ones past a bound. Each series is released once."""

    def __init__(self, limits: SeriesLimits) -> None:
        self._limits = limits
        self._lock = threading.Lock()
        self._in_all = 0
        self._of_metric: Counter[tuple[Source, str]] = Counter()
        self._of_source: Counter[Source] = Counter()
        self._refused: Counter[Source] = Counter()

    def admit(self, series: Labels) -> bool:
        """Whether a new series is taken; if so it counts from now on."""
        source = Source.of(series)
        metric = source, series.metric_name
        with self._lock:
            if (
                self._in_all >= self._limits.in_all
                or self._of_source[source] >= self._limits.of_source
                or self._of_metric[metric] >= self._limits.of_metric
            ):
                self._refuse(source)
                return False
            self._in_all += 1
            self._of_source[source] += 1
            self._of_metric[metric] += 1
            return True

    def release(self, series: Iterable[Labels]) -> None:
        """These are gone."""
        with self._lock:
            for labels in series:
                source = Source.of(labels)
                self._in_all -= 1
                _less_one(self._of_source, source)
                _less_one(self._of_metric, (source, labels.metric_name))

    def refused(self) -> Counter[Source]:
        """How often a series was not taken, by source: one that is offered again counts again."""
        with self._lock:
            return Counter(self._refused)

    def _refuse(self, source: Source) -> None:
        known = source in self._refused or len(self._refused) < MOST_SOURCES_TOLD
        self._refused[source if known else OTHERS] += 1


def _less_one(counts: Counter[Key], key: Key) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
