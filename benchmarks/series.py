"""What the observer's series take: memory against series and retention, appending, reading back, and standing still."""

from __future__ import annotations

import gc
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from typing import Final

import psutil

from benchmarks.figures import Figure
from observability.promql import Labels
from observability.querying import QueryApi
from observability.rules import GroupEvaluator, parse
from observability.series import SeriesStore, StoreSettings

MiB: Final = 1024 * 1024
HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
EVERY_MS: Final = 10_000
METRICS: Final = 100
START_MS: Final = 1_700_000_040_000
SIZES: Final = ((10_000, 1.0), (10_000, 0.5), (20_000, 1.0))
"""Series, and hours in memory."""
DAY_SERIES: Final = 100
APPENDED: Final = 200


class _Clock:
    def __init__(self) -> None:
        self.now_ms = START_MS

    def __call__(self) -> int:
        return self.now_ms


def measure() -> list[Figure]:
    """`series_memory_<series>_<hours>h`: MiB that samples, labels and roll-ups add to a process, in one of their own.

    `series_append`: microseconds a sample; `series_save`, each minute, and `series_restore` in seconds.
    `series_day_*`: a range query over 24 h at steps of a minute, of a hundred series. `series_wait_*`: how long
    intake takes for a message of 200 samples, for all but one in a hundred, alone and while rules read all series.
    """
    figures = list[Figure]()
    for series, hours in SIZES:
        told = _in_a_process(series, hours)
        name = f"{series}_{hours:g}h"
        bar = "<= 90" if (series, hours) == SIZES[0] else ""
        figures.append(Figure(name=f"series_memory_{name}", value=told["memory_mib"], unit="MiB", bar=bar))
        figures.append(Figure(name=f"series_samples_{name}", value=told["samples_mib"], unit="MiB"))
        if (series, hours) == SIZES[0]:
            figures += [
                Figure(name="series_process", value=told["rss_mib"], unit="MiB"),
                Figure(name="series_append", value=told["append_us"], unit="us"),
                Figure(name="series_save", value=told["save_s"], unit="s"),
                Figure(name="series_restore", value=told["restore_s"], unit="s"),
                Figure(name="series_wait_alone", value=told["wait_alone_ms"], unit="ms"),
                Figure(name="series_wait_rules", value=told["wait_rules_ms"], unit="ms"),
            ]
    return [*figures, *_day()]


def _in_a_process(series: int, hours: float) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.series", str(series), str(hours)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=1200).stdout
    found: dict[str, float] = json.loads(told.splitlines()[-1])
    return found


def _of(metric: int, number: int) -> Labels:
    return Labels(
        {
            "__name__": f"metric{metric}_total",
            "service": f"service{number % 7}",
            "instance": f"instance-{number % 20:04}",
            "messaging_destination_name": f"rag.queue.{number}",
        }
    )


def _measured(count: int, hours: float) -> Iterator[tuple[str, float]]:
    process, clock = psutil.Process(), _Clock()
    gc.collect()
    before = process.memory_info().rss
    settings = StoreSettings(memory_ms=round(hours * HOUR_MS))
    with tempfile.TemporaryDirectory() as folder:
        store = SeriesStore(Path(folder), now_ms=clock, settings=settings)
        series = [_of(metric, number) for number in range(count // METRICS) for metric in range(METRICS)]
        groups = [series[start : start + APPENDED] for start in range(0, count, APPENDED)]
        spent, saved = 0.0, list[float]()
        # Some more than the retention: rows have then been moved along.
        for _ in range(round((hours * HOUR_MS + 10 * MINUTE_MS) / EVERY_MS)):
            clock.now_ms += EVERY_MS
            begun = time.perf_counter()
            for number, group in enumerate(groups):
                value = float(clock.now_ms % 1_000_003)
                _append(store, group, clock.now_ms - number, value)
            spent += time.perf_counter() - begun
            if clock.now_ms % MINUTE_MS == 0:
                begun = time.perf_counter()
                store.maintain()
                saved.append(time.perf_counter() - begun)
        rss = process.memory_info().rss
        yield "rss_mib", rss / MiB
        yield "memory_mib", (rss - before) / MiB
        yield "samples_mib", store.figures().samples_bytes / MiB
        yield "append_us", spent / count / ((hours * HOUR_MS + 10 * MINUTE_MS) / EVERY_MS) * 1e6
        yield "save_s", median(saved)
        yield "wait_alone_ms", _waits(store, groups, clock, rules=False)
        yield "wait_rules_ms", _waits(store, groups, clock, rules=True)
        store.close()
        begun = time.perf_counter()
        SeriesStore(Path(folder), now_ms=clock, settings=settings).close()
        yield "restore_s", time.perf_counter() - begun


def _append(store: SeriesStore, series: list[Labels], time_ms: int, value: float) -> None:
    store.append_all([(labels, value) for labels in series], time_ms=time_ms)


def _waits(store: SeriesStore, groups: list[list[Labels]], clock: _Clock, *, rules: bool) -> float:
    """Milliseconds for one message of samples, the 99th percentile, while a thread evaluates rules."""
    lines = ["groups:", "- name: benchmark", "  rules:"]
    for number in range(METRICS):
        expression = (
            f"sum by (service) (rate(metric{number}_total[5m])) < 0 or max_over_time(metric{number}_total[1h]) < 0"
        )
        lines += [f"  - alert: Alert{number}", f"    expr: {expression}"]
    (group,) = parse("\n".join(lines), file="benchmark.yml")
    evaluator = GroupEvaluator(group, source=store, sink=store, now_ms=clock)
    stopped = threading.Event()

    def evaluate() -> None:
        while not stopped.is_set():
            evaluator.evaluate()

    thread = threading.Thread(target=evaluate)
    if rules:
        thread.start()
    waits = list[float]()
    for _ in range(20):
        clock.now_ms += EVERY_MS
        for each in groups:
            begun = time.perf_counter()
            _append(store, each, clock.now_ms, 1.0)
            waits.append(time.perf_counter() - begun)
            time.sleep(0.0005)
    stopped.set()
    if rules:
        thread.join()
    return quantiles(waits, n=100)[-1] * 1000


def _day() -> Iterator[Figure]:
    clock = _Clock()
    with tempfile.TemporaryDirectory() as folder:
        store = SeriesStore(Path(folder), now_ms=clock)
        series = [_of(0, number) for number in range(DAY_SERIES)]
        for minute in range(24 * 60):
            for _ in range(6):
                clock.now_ms += EVERY_MS
                _append(store, series, clock.now_ms, float(minute))
            store.maintain()
        yield Figure(name="series_day_disk", value=store.figures().disk.size_bytes / MiB, unit="MiB")
        api = QueryApi(store, metadata={}, now_ms=clock, version="0")
        fields = {"start": [str(START_MS // 1000)], "end": [str(clock.now_ms // 1000)], "step": ["60"]}
        for name, query in (
            ("latest", "metric0_total"),
            ("rate", "rate(metric0_total[5m])"),
            ("sum_rate", "sum by (service) (rate(metric0_total[5m]))"),
        ):
            begun = time.perf_counter()
            answer = api.answer("query_range", {"query": [query], **fields})
            if answer.status != 200:
                raise RuntimeError(f"{query} failed: {answer.body}")
            yield Figure(name=f"series_day_{name}", value=time.perf_counter() - begun, unit="s", bar="<= 5")
        begun = time.perf_counter()
        api.answer("labels", {"start": fields["start"]})
        yield Figure(name="series_day_labels", value=time.perf_counter() - begun, unit="s")
        store.close()


if __name__ == "__main__":
    print(json.dumps(dict(_measured(int(sys.argv[1]), float(sys.argv[2])))))
