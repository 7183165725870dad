"""All series of the fleet: the last hour in memory, a day of roll-ups on disk."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import structlog

from observability.promql.labels import Labels
from observability.promql.matchers import Selector
from observability.promql.memory import HOUR_MS, MOST_SAMPLES, MemorySeries
from observability.promql.source import SeriesSource, Windows
from observability.promql.staleness import DEFAULT_LOOKBACK_MS, is_stale
from observability.promql.vector import Vector
from observability.series.disk import DiskFigures, RollupDisk
from observability.series.joined import JoinedSeries
from observability.series.quota import SeriesLimits, SeriesQuota, Source
from observability.series.rollups import MINUTE_MS, Samples, last_of_minutes

log = structlog.get_logger(__name__)

NowMs = Callable[[], int]

SLACK_MS: Final = MINUTE_MS
"""Kept in memory beyond what is promised: evaluations look back from a little before now."""
AHEAD_MS: Final = 30_000
"""Samples further in the future than this show that the clock was set back."""
KEPT_FREE_FROM: Final = 0.9
"""What of the bound on all series may be taken by ended ones: the rest is for those who come."""
MOST_LOADED: Final = 1_500_000
"""Samples of one query that reaches to the disk: a day of a thousand series."""
STOP_S: Final = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSettings:
    """How much is kept where. Each minute is written within `look_every_s` after its end."""

    memory_ms: int = HOUR_MS
    disk_ms: int = 24 * HOUR_MS
    disk_bytes: int = 1024**3
    limits: SeriesLimits = field(default_factory=SeriesLimits)
    most_samples: int = MOST_SAMPLES
    """Of one series in memory."""
    look_every_s: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFigures:
    """How the store is.

    `refused_series` tells which sources wanted more series than they may have, and how often: each sample of one counts.
    """

    series: int
    samples_bytes: int
    refused_samples: int
    refused_series: Counter[Source]
    clock_steps: int
    disk: DiskFigures


class SeriesStore:
    """A `SeriesSource` and `SeriesSink` for several threads: intake appends while rules and queries read.

    Samples are refused, and counted, when they are not newer than their series' last one; new series past the limits.
    A thread of its own rolls up, writes and tidies. Whatever happens to the disk, memory goes on: what could not be
    written is written later, as long as memory holds it.

    If the clock is set back, the samples of the time that is yet to come are dropped, so that new ones are taken.
    """

    def __init__(self, folder: Path | None, *, now_ms: NowMs, settings: StoreSettings | None = None) -> None:
        """Open the file in `folder` and take the last hour from it; without a folder nothing outlives the process."""
        self._settings = settings or StoreSettings()
        self._now_ms = now_ms
        self._quota = SeriesQuota(self._settings.limits)
        self._memory = MemorySeries(
            retention_ms=self._settings.memory_ms + SLACK_MS,
            most_samples=self._settings.most_samples,
            admission=self._quota,
        )
        self._disk = None if folder is None else RollupDisk(folder, most_bytes=self._settings.disk_bytes, now_ms=now_ms)
        self._memory_after_ms = 0
        """Memory lacks what came before, and roll-ups are read instead."""
        self._told: Counter[Source] = Counter()
        self._files_begun = 0
        self._clock_steps = 0
        self._restored: dict[Labels, int] = {}
        """Series that went on when this process began, as far as the file tells, each with its last sample."""
        self._begun_ms = now_ms()
        self._stopping = threading.Event()
        self._maintaining = threading.Lock()
        self._thread: threading.Thread | None = None
        if self._disk is not None and self._disk.open():
            self._restore(self._disk)
        else:
            self._memory_after_ms = now_ms()

    def start(self) -> None:
        """Begin to roll up and write, in a thread that ends with `close`."""
        self._thread = threading.Thread(target=self._run, name="series-store", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Write what is not written yet, and close the file."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)
        with self._maintaining:
            self._save(until_ms=self._now_ms() + AHEAD_MS)
            if self._disk is not None:
                self._disk.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        """How many series there are in memory."""
        return len(self._memory)

    def append(self, series: Labels, *, time_ms: int, value: float) -> bool:
        """Add a sample, which may be a staleness marker; False when it is refused."""
        return self._memory.append(series, time_ms=time_ms, value=value)

    def append_all(self, values: Iterable[tuple[Labels, float]], *, time_ms: int) -> list[Labels]:
        """Add a sample of one time to each series; which ones took theirs."""
        return self._memory.append_all(values, time_ms=time_ms)

    def latest(self, selector: Selector, *, at_ms: int, lookback_ms: int) -> Vector:
        source = self.reader(after_ms=at_ms - lookback_ms, until_ms=at_ms)
        return source.latest(selector, at_ms=at_ms, lookback_ms=lookback_ms)

    def window(self, selector: Selector, *, after_ms: int, until_ms: int) -> Windows:
        source = self.reader(after_ms=after_ms, until_ms=until_ms)
        return source.window(selector, after_ms=after_ms, until_ms=until_ms)

    def reader(self, *, after_ms: int, until_ms: int, most_samples: int = MOST_LOADED) -> SeriesSource:
        """Where samples in (after, until] are read from: memory, or with what is older on disk.

        The latter loads what a selector means once, up to `most_samples` in all: for the steps of a range query.
        """
        memory_after_ms = self._complete_after_ms
        if self._disk is None or after_ms >= memory_after_ms:
            return self._memory
        if not self._disk.is_open and after_ms >= self._memory.newest_ms - self._settings.memory_ms:
            return self._memory  # which is all that there is
        return JoinedSeries(
            self._disk.read,
            self._memory,
            memory_after_ms=memory_after_ms,
            after_ms=after_ms,
            until_ms=until_ms,
            most_samples=most_samples,
        )

    def series(self, selector: Selector, *, after_ms: int, until_ms: int) -> list[Labels]:
        """The series that are meant and have a sample in (after, until]; of those on disk, that may have one."""
        found = dict.fromkeys(self._memory.select(selector).present(after_ms=after_ms, until_ms=until_ms))
        memory_after_ms = self._complete_after_ms
        if self._disk is not None and after_ms < memory_after_ms:
            until_ms = min(until_ms, memory_after_ms)
            found |= dict.fromkeys(self._disk.series(selector, after_ms=after_ms, until_ms=until_ms))
        return list(found)

    def figures(self) -> StoreFigures:
        """How the store is."""
        return StoreFigures(
            series=len(self._memory),
            samples_bytes=self._memory.size_bytes,
            refused_samples=self._memory.refused_samples,
            refused_series=self._quota.refused(),
            clock_steps=self._clock_steps,
            disk=DiskFigures() if self._disk is None else self._disk.figures(),
        )

    def maintain(self) -> None:
        """Write the minutes that are over, and forget what is too old. The thread does this; tests may, too."""
        with self._maintaining:
            now_ms = self._now_ms()
            self._tell_refusals()
            if self._disk is not None and not self._disk.is_open:
                self._reopen(self._disk)
            if self._memory.newest_ms > now_ms + AHEAD_MS:
                self._step_back(now_ms)
            if self._restored and now_ms - self._begun_ms >= MINUTE_MS:
                self._end_restored()
            minute_ms = now_ms // MINUTE_MS * MINUTE_MS
            self._save(until_ms=minute_ms)
            ended = self._memory.drop_ended(now_ms=min(now_ms, self._memory.newest_ms))
            ended += self._make_room(before_ms=minute_ms)
            if self._disk is not None:
                self._disk.tidy(ended=ended, ended_ms=now_ms, before_ms=now_ms - self._settings.disk_ms)

    @property
    def _complete_after_ms(self) -> int:
        """Memory has all samples that are newer."""
        return max(self._memory_after_ms, self._memory.newest_ms - self._settings.memory_ms)

    def _make_room(self, *, before_ms: int) -> list[Labels]:
        """So that those who come always find room, however many came and went within the hour."""
        gone = self._memory.make_room(most=int(self._settings.limits.in_all * KEPT_FREE_FROM), before_ms=before_ms)
        if gone:
            log.warning("too many series: ended ones are found on disk only", series=len(gone))
        return gone

    def _tell_refusals(self) -> None:
        refused = self._quota.refused()
        for source, count in (refused - self._told).items():
            log.warning(
                "new series are refused: their source has too many, or all together",
                service=source.service,
                instance=source.instance,
                refused=count,
            )
        self._told = refused

    def _run(self) -> None:
        written = None
        while not self._stopping.wait(self._settings.look_every_s):
            minute = self._now_ms() // MINUTE_MS
            if minute == written:
                continue
            written = minute
            try:
                self.maintain()
            except Exception:
                # The next round may do better; intake and rules do not depend on it.
                log.exception("the series could not be tidied")

    def _restore(self, disk: RollupDisk) -> None:
        now_ms = self._now_ms()
        disk.delete_after(now_ms + AHEAD_MS)
        self._memory_after_ms = now_ms - self._settings.memory_ms
        restored = 0
        for labels, samples in disk.recent(after_ms=now_ms - self._settings.memory_ms - SLACK_MS):
            restored += self._memory.extend(labels, samples.times_ms, samples.values)
            last_ms = int(samples.times_ms[-1])
            if last_ms > now_ms - DEFAULT_LOOKBACK_MS and not is_stale(float(samples.values[-1])):
                self._restored[labels] = last_ms
        log.info("series are restored from disk", series=restored)

    def _end_restored(self) -> None:
        """Who has not come back within a minute was stopped while nobody listened, and would else live on for the lookback."""
        restored, self._restored = self._restored, {}
        if ended := self._memory.end_silent(restored):
            log.info("series of before are over", series=ended)

    def _reopen(self, disk: RollupDisk) -> None:
        """What is in the file stays there: memory has gone on without it."""
        if disk.open():
            now_ms = self._now_ms()
            disk.delete_after(now_ms + AHEAD_MS)
            for _ in disk.recent(after_ms=now_ms - self._settings.memory_ms):
                pass

    def _step_back(self, now_ms: int) -> None:
        ahead_s = (self._memory.newest_ms - now_ms) / 1000
        self._clock_steps += 1
        log.warning("the clock was set back: samples of times to come are dropped", ahead_s=ahead_s)
        gone = self._memory.drop_after(now_ms)
        if self._disk is not None:
            self._disk.delete_after(now_ms)
            # Batches go whole, also with what they hold of the time before; what is there twice is read once.
            self._memory.mark_unsaved()
            if self._save(until_ms=now_ms + 1):
                # While the clock was ahead, memory dropped as too old what is not.
                self._memory_after_ms = now_ms
            self._disk.tidy(ended=gone, ended_ms=now_ms, before_ms=now_ms - self._settings.disk_ms)

    def _save(self, *, until_ms: int) -> bool:
        """Whether all samples before `until_ms` are on disk now."""
        if self._disk is None or not self._disk.is_open:
            return False
        if self._files_begun != self._disk.files_begun:
            self._files_begun = self._disk.files_begun
            self._memory.mark_unsaved()
        batches, marks = [], []
        for unsaved in self._memory.unsaved(until_ms=until_ms):
            columns, times, values = last_of_minutes(unsaved)
            metric = unsaved.labels[0].metric_name
            batches.append((metric, unsaved.labels, Samples(columns.astype(np.uint32), times, values)))
            marks.append((unsaved.part, unsaved.last_times_ms))
        if batches and not self._disk.add(batches):
            return False
        self._memory.mark_saved(marks)
        return True
