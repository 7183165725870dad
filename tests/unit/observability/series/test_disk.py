"""What becomes of the store when its file is damaged, taken, of another format, or the disk is full."""

from __future__ import annotations

import asyncio
import resource
import signal
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from observability.promql import EvaluationError, parse
from observability.series import SeriesStore, database
from tests.support.waiting import until
from tests.unit.observability.series.stores import (
    HOUR_MS,
    MINUTE_MS,
    START_MS,
    Clock,
    fill,
    labelled,
    of_process,
    record,
    samples,
    store,
)

X = of_process()
FILE = "series.db"


@pytest.fixture
def filled(tmp_path: Path, clock: Clock) -> Path:
    """A folder with 90 minutes."""
    series = store(tmp_path, clock)
    fill(series, clock, X, minutes=90)
    series.close()
    return tmp_path


def aside(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir() if ".aside-" in file.name)


def works(series: SeriesStore, clock: Clock) -> bool:
    """Whether it takes, keeps and finds."""
    fill(series, clock, X, minutes=2)
    return series.figures().disk.available and samples(series, after_ms=clock.now_ms - 1)[X][0][0] == clock.now_ms


def write_noise(file: Path) -> None:
    file.write_bytes(b"no database at all" * 1000)


def write_newer_format(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("PRAGMA user_version = 99")


def write_other_tables(file: Path) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("DROP TABLE batches")


def write_over_the_middle(file: Path) -> None:
    with file.open("r+b") as open_file:
        open_file.seek(4096)
        open_file.write(b"\xff" * (file.stat().st_size - 8192))


@pytest.mark.parametrize("damage", [write_noise, write_newer_format, write_other_tables, write_over_the_middle])
def test_a_file_of_no_use_is_put_aside_and_a_new_one_begun(filled: Path, clock: Clock, damage) -> None:
    damage(filled / FILE)

    series = store(filled, clock)

    series.maintain()
    assert works(series, clock)
    assert series.figures().disk.put_aside_files == 1
    assert aside(filled)[0].startswith("series.db.aside-")
    series.close()
    again = store(filled, clock)
    assert len(again) == 1, "the new file is read the next time"
    again.close()


def test_files_put_aside_do_not_fill_the_disk(filled: Path, clock: Clock) -> None:
    for _ in range(5):
        write_noise(filled / FILE)
        clock.now_ms += 1
        store(filled, clock).close()

    assert len(aside(filled)) == 2


def test_a_file_damaged_under_way_is_put_aside_and_memory_is_written_anew(filled: Path, clock: Clock) -> None:
    series = store(filled, clock)
    write_over_the_middle(filled / FILE)
    with closing(sqlite3.connect(filled / FILE)) as other:
        other.execute("PRAGMA user_version = 1")  # a change: what readers have in their caches is void

    with pytest.raises(EvaluationError, match="only on disk cannot be read"):
        samples(series, after_ms=START_MS)
    series.maintain()

    assert works(series, clock)
    assert series.figures().disk.put_aside_files == 1
    series.close()
    again = store(filled, clock)
    assert len(samples(again, after_ms=clock.now_ms - HOUR_MS)[X]) >= 60, "what memory had is in the new file"
    again.close()


def test_bytes_that_are_no_samples_are_passed_over(filled: Path, clock: Clock) -> None:
    with closing(sqlite3.connect(filled / FILE)) as connection, connection:
        connection.execute("UPDATE batches SET samples = x'00112233' WHERE id = 3")

    series = store(filled, clock)
    found = samples(series, after_ms=START_MS)[X]

    assert len(found) == 90
    assert series.figures().disk.damaged_batches >= 1
    series.close()


class TestTaken:
    def test_by_another_process_memory_goes_on_and_takes_it_when_it_is_free(self, filled: Path, clock: Clock) -> None:
        first = store(filled, clock)
        second = store(filled, clock)
        fill(second, clock, X, minutes=3)
        assert not second.figures().disk.available
        assert len(samples(second, after_ms=clock.now_ms - 10 * MINUTE_MS)[X]) == 18
        with pytest.raises(EvaluationError, match="cannot be read"):
            samples(second, after_ms=START_MS)

        first.close()
        second.maintain()

        assert works(second, clock)
        assert len(samples(second, after_ms=START_MS)[X]) > 90
        assert not aside(filled), "a file that another process uses is left alone"
        second.close()

    def test_locked_writes_come_later(self, filled: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "BUSY_S", 0.05)
        series = store(filled, clock)
        with closing(sqlite3.connect(filled / FILE, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            clock.now_ms += 10_000
            record(series, [(X, 1.0)], time_ms=clock.now_ms)
            clock.now_ms += MINUTE_MS
            series.maintain()
            assert series.figures().disk.failures >= 1
            other.execute("ROLLBACK")

        series.maintain()
        series.close()

        again = store(filled, clock)
        assert samples(again, after_ms=clock.now_ms - 2 * MINUTE_MS)[X][-1][1] == 1.0
        again.close()

    def test_a_folder_that_cannot_be_made_stops_nothing(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "file").write_text("")
        series = store(tmp_path / "file" / "series", clock)

        fill(series, clock, X, minutes=3)

        assert len(samples(series, after_ms=START_MS)[X]) == 18
        figures = series.figures().disk
        assert not figures.available
        assert figures.failures >= 1
        series.close()


@contextmanager
def full_disk(size_bytes: int) -> Iterator[None]:
    """No file may grow past a size: writes fail as on a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_nothing_and_what_was_missed_is_written_later(filled: Path, clock: Clock) -> None:
    series = store(filled, clock)
    many = [of_process(number=str(number)) for number in range(300)]
    with full_disk((filled / FILE).stat().st_size):
        fill(series, clock, *many, minutes=3)
        figures = series.figures()
        assert figures.disk.failures >= 1
        assert figures.refused_samples == 0
        assert len(parse("x").instant(series, at_ms=clock.now_ms)) == 300  # the one of before has not come back
    series.maintain()
    series.close()

    again = store(filled, clock)
    assert len(samples(again, 'x{number="7"}', after_ms=clock.now_ms - 4 * MINUTE_MS)[many[7]]) >= 3
    again.close()


KILLED = """
import sys, time
from pathlib import Path
from observability.promql import Labels
from observability.series import SeriesStore, StoreSettings

now_ms = lambda: time.time_ns() // 1_000_000
store = SeriesStore(Path(sys.argv[1]), now_ms=now_ms, settings=StoreSettings(look_every_s=0.05))
series = Labels({"__name__": "x"})
begun_ms = now_ms()
for ago_s in range(300, 0, -1):
    store.append(series, time_ms=begun_ms - ago_s * 1000, value=float(ago_s))
store.start()
while True:
    store.append(series, time_ms=now_ms(), value=0.0)
    time.sleep(0.01)
"""


def batches(file: Path) -> int:
    """How many there are on disk."""
    if not file.exists():
        return 0
    with closing(sqlite3.connect(file)) as connection:
        tables = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'batches'").fetchone()[0]
        return int(connection.execute("SELECT count(*) FROM batches").fetchone()[0]) if tables else 0


async def test_killed_it_loses_a_minute_at_most(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED, str(tmp_path), stdout=asyncio.subprocess.DEVNULL
    )
    try:
        await until(lambda: batches(tmp_path / FILE) > 0, timeout_s=30)
    finally:
        process.kill()
        await asyncio.wait_for(process.wait(), timeout=10)
    clock = Clock(time.time_ns() // 1_000_000)

    again = store(tmp_path, clock)

    (found,) = samples(again, after_ms=clock.now_ms - HOUR_MS).values()
    assert len(found) >= 5
    assert clock.now_ms - found[-1][0] < 2 * MINUTE_MS
    assert again.append(labelled(), time_ms=clock.now_ms, value=1.0)
    again.close()
