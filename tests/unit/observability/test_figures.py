"""Figures of process and host are true, have the conventions' names, and are told by one process of a host."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from opentelemetry.sdk.metrics import MeterProvider

from contracts.metrics import MetricKind
from observability.cardinality import bounded_views
from observability.host_figures import HostFigures, Turn
from observability.process_figures import ProcessFigures
from observability.samples import SampleReader
from observability.snapshots import FRESH_S, Snapshot

Told = dict[str, dict[tuple[str, ...], float]]


class Instruments:
    def __init__(self) -> None:
        self._reader = SampleReader()
        self.meter = MeterProvider([self._reader], views=bounded_views(), shutdown_on_exit=False).get_meter("test")

    def told(self) -> Told:
        """Values by name and by the values of their attributes."""
        return {
            metric.name: {tuple(sorted(point.attributes.values())): point.value for point in metric.numbers}
            for metric in self._reader.read().metrics
        }

    def kinds(self) -> dict[str, MetricKind]:
        return {metric.name: metric.kind for metric in self._reader.read().metrics}


@pytest.fixture
def instruments() -> Instruments:
    return Instruments()


@pytest.fixture
def fleet() -> str:
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture
def turn(fleet: str) -> Iterator[Turn]:
    turn = Turn(fleet)
    yield turn
    turn.give_up()


def test_a_process_tells_what_it_takes(instruments: Instruments) -> None:
    ProcessFigures().measure(instruments.meter)
    told = instruments.told()
    assert told["process.memory.usage"][()] == pytest.approx(psutil.Process().memory_info().rss, rel=0.5)
    assert told["process.memory.virtual"][()] >= told["process.memory.usage"][()]
    assert told["process.thread.count"][()] >= 1
    assert told["process.unix.file_descriptor.count"][()] >= 3
    assert 0 < told["process.uptime"][()] < 24 * 3600
    assert set(told["process.cpu.time"]) == {("user",), ("system",)}
    assert sum(told["process.cpu.time"].values()) > 0
    assert 0 <= told["process.cpu.utilization"][()] <= 1
    assert set(told["process.context_switches"]) == {("voluntary",), ("involuntary",)}
    assert instruments.kinds()["process.cpu.time"] is MetricKind.COUNTER


def test_open_files_are_counted_when_they_are_opened(instruments: Instruments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.snapshots.FRESH_S", 0.0)
    ProcessFigures().measure(instruments.meter)
    before = instruments.told()["process.unix.file_descriptor.count"][()]
    opened = [os.open("/dev/null", os.O_RDONLY) for _ in range(50)]
    try:
        assert instruments.told()["process.unix.file_descriptor.count"][()] >= before + 40
    finally:
        for descriptor in opened:
            os.close(descriptor)


def test_a_host_tells_how_busy_and_how_full_it_is(instruments: Instruments, turn: Turn, tmp_path: Path) -> None:
    HostFigures(turn, data_dir=tmp_path / "not" / "there").measure(instruments.meter)
    told = instruments.told()
    assert sum(told["system.cpu.utilization"].values()) == pytest.approx(1.0)
    assert {modes for (modes,) in told["system.cpu.utilization"]} >= {"user", "system", "idle"}
    assert told["system.cpu.logical.count"][()] == psutil.cpu_count()
    assert sum(told["system.memory.utilization"].values()) == pytest.approx(1.0, abs=0.01)
    assert sum(told["system.memory.usage"].values()) == pytest.approx(told["system.memory.limit"][()], rel=0.01)
    mounts = {mount for mount, _ in told["system.filesystem.utilization"]}
    assert "/" in mounts
    for mount in mounts:
        shares = told["system.filesystem.utilization"]
        assert shares[mount, "used"] + shares[mount, "free"] == pytest.approx(1.0)
    assert set(told["system.network.io"]) == {("receive",), ("transmit",)}
    assert instruments.kinds()["system.network.io"] is MetricKind.COUNTER


def test_only_one_process_of_a_host_tells_of_it_and_another_takes_over(fleet: str) -> None:
    hold = (
        "import sys; from observability.host_figures import Turn; turn = Turn(sys.argv[1]); "
        "print(turn.is_ours(), flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", hold, fleet], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    )
    ours, elsewhere = Turn(fleet), Turn(f"{fleet}-b")
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert not ours.is_ours()
        assert elsewhere.is_ours(), "another fleet has a turn of its own"
        other.kill()
        other.wait(20)
        assert ours.is_ours(), "killed, it holds the turn no more"
    finally:
        for turn in (ours, elsewhere):
            turn.give_up()
        other.kill()
        other.communicate()


def test_whose_turn_it_is_not_tells_nothing_of_the_host(
    instruments: Instruments, fleet: str, turn: Turn, tmp_path: Path
) -> None:
    assert turn.is_ours()
    HostFigures(Turn(fleet), data_dir=tmp_path).measure(instruments.meter)
    assert instruments.told() == {}


def test_where_there_are_no_such_names_every_process_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert Turn("a").is_ours()
    assert Turn("a").is_ours()


def test_one_look_serves_all_who_ask_within_a_second() -> None:
    looks, now = list[float](), [1000.0]

    def read() -> dict[str, float]:
        looks.append(now[0])
        return {"a": float(len(looks))}

    snapshot = Snapshot(read, monotonic=lambda: now[0])
    assert [snapshot.of("a"), snapshot.of("a")] == [1.0, 1.0]
    now[0] += FRESH_S
    assert snapshot.of("a") == 2.0


def test_a_busy_process_shows(instruments: Instruments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("observability.snapshots.FRESH_S", 0.0)
    ProcessFigures().measure(instruments.meter)
    before = sum(instruments.told()["process.cpu.time"].values())
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert sum(instruments.told()["process.cpu.time"].values()) >= before + 0.1
