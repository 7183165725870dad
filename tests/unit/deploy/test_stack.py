"""A stack of small programs under a real supervisor."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.local import leftovers, ports
from deploy.local.addresses import Addresses, RunningStack
from deploy.local.errors import AlreadyRunningError, PortTakenError, StartError
from deploy.local.layout import Layout
from deploy.local.programs import Fleet, Group, Program
from deploy.local.readiness import watch
from deploy.local.stack import LocalStack
from deploy.local.stopping import stop
from deploy.local.supervision import Supervisor


@dataclass(frozen=True, kw_only=True)
class SmallFleet(Fleet):
    """Three groups of programs that write their name down when they are stopped."""

    journal: Path
    worker: str

    def waggle_groups(self) -> tuple[Group, ...]:
        return (
            Group(name="keepers", priority=20, programs=(self._program("keeper-1"),)),
            Group(name="workers", priority=50, programs=(self._program("embed-1"), self._program("ingest-1"))),
            Group(name="door", priority=90, programs=(self._program("gateway"),)),
        )

    def _program(self, name: str) -> Program:
        script = f"trap 'echo {name} >>{self.journal}; exit 0' TERM; while :; do {self.worker}; done"
        return Program(name=name, service=name, command=("sh", "-c", script), stop_wait_s=5)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path / "data")


@pytest.fixture
def stack(layout: Layout, tmp_path: Path) -> Iterator[LocalStack]:
    made = small_stack(layout, tmp_path / "journal")
    yield made
    made.stop()


def small_stack(
    layout: Layout, journal: Path, *, port: int | None = None, provision=lambda: None, worker: str = "sleep 0.05"
) -> LocalStack:
    return LocalStack(
        layout,
        fleet=SmallFleet(drain_timeout_s=1, journal=journal, worker=worker),
        addresses=Addresses(
            host="127.0.0.1", gateway_port=port or ports.free_port(), nats_url="nats://elsewhere:4222", nats_port=None
        ),
        environment={},
        provision=provision,
    )


def start(stack: LocalStack) -> list[str]:
    steps: list[str] = []
    stack.start(on_step=steps.append)
    return steps


def test_everything_that_belongs_to_it_is_started(stack: LocalStack) -> None:
    start(stack)

    assert {p.name for p in stack.processes() if p.pid} == {"keeper-1", "embed-1", "ingest-1", "gateway"}


def test_a_process_whose_settings_are_wrong_is_not_waited_for(layout: Layout, tmp_path: Path) -> None:
    stack = small_stack(layout, tmp_path / "journal", worker="echo 'no such model'; exit 2")
    start(stack)
    try:
        with pytest.raises(StartError, match="cannot start with its settings") as ended:
            for _ in watch(stack, timeout_s=60):
                pass
    finally:
        stack.stop()
    assert "no such model" in ended.value.log


def test_what_an_earlier_run_wrote_is_not_told_of_this_one(layout: Layout, tmp_path: Path) -> None:
    for said in ("no such model", "no such file"):
        stack = small_stack(layout, tmp_path / "journal", worker=f"echo '{said}'; exit 2")
        start(stack)
        try:
            with pytest.raises(StartError, match="cannot start with its settings") as ended:
                for _ in watch(stack, timeout_s=60):
                    pass
        finally:
            stack.stop()
    assert "no such file" in ended.value.log
    assert "no such model" not in ended.value.log


def test_it_stops_from_the_door_to_the_keeper(stack: LocalStack, tmp_path: Path) -> None:
    start(stack)
    _await_running(stack)

    stack.stop()

    first, *workers, last = (tmp_path / "journal").read_text(encoding="utf-8").split()
    assert (first, last) == ("gateway", "keeper-1")
    assert set(workers) == {"embed-1", "ingest-1"}


def test_a_second_start_is_refused_and_told_where_the_first_one_is(stack: LocalStack, layout: Layout, tmp_path) -> None:
    start(stack)

    with pytest.raises(AlreadyRunningError, match=stack.addresses.url):
        start(small_stack(layout, tmp_path / "journal"))
    assert Supervisor(layout).answers()


def test_other_commands_learn_its_address_while_it_runs(stack: LocalStack, layout: Layout) -> None:
    assert RunningStack.read(layout) is None

    start(stack)
    running = RunningStack.read(layout)
    stack.stop()

    assert running is not None
    assert running.url == stack.addresses.url
    assert RunningStack.read(layout) is None


def test_a_port_that_is_taken_is_named_with_its_owner(layout: Layout, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=rf"{port}.*pid {os.getpid()}"):
            start(small_stack(layout, tmp_path / "journal", port=port))


def test_what_was_started_is_stopped_when_the_start_fails(layout: Layout, tmp_path: Path) -> None:
    def fail() -> None:
        raise StartError("no furniture")

    stack = small_stack(layout, tmp_path / "journal", provision=fail)

    with pytest.raises(StartError, match="no furniture"):
        start(stack)
    assert not Supervisor(layout).answers()


def test_a_killed_supervisors_processes_are_stopped_by_the_next_start(layout: Layout, tmp_path: Path) -> None:
    first = small_stack(layout, tmp_path / "journal")
    start(first)
    orphans = _orphan(first)

    second = small_stack(layout, tmp_path / "journal")
    try:
        steps = start(second)
        assert any("embed-1" in step for step in steps)
        assert not any(_lives(pid) for pid in orphans)
    finally:
        second.stop()


def test_a_killed_supervisors_processes_are_stopped_by_down(layout: Layout, tmp_path: Path) -> None:
    stack = small_stack(layout, tmp_path / "journal")
    start(stack)
    _orphan(stack)

    assert stop(layout)
    assert leftovers.find(layout) == {}


def test_stopping_tells_who_is_still_alive(stack: LocalStack, layout: Layout) -> None:
    start(stack)
    _await_running(stack)
    told: list[list[str]] = []

    assert stop(layout, on_progress=told.append)

    assert any("keeper-1" in names for names in told)


def test_stopping_what_does_not_run_says_so(layout: Layout) -> None:
    layout.create()

    assert not stop(layout)


def test_two_starts_at_once_make_one_stack(layout: Layout, tmp_path: Path) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def wait() -> None:
        inside.set()
        go_on.wait(20)

    first = small_stack(layout, tmp_path / "journal", provision=wait)
    thread = threading.Thread(target=lambda: start(first))
    thread.start()
    try:
        assert inside.wait(20)
        with pytest.raises(AlreadyRunningError):
            start(small_stack(layout, tmp_path / "journal"))
    finally:
        go_on.set()
        thread.join(20)
        first.stop()


def _await_running(stack: LocalStack) -> None:
    """Until every program has set its trap: a shell that is stopped before writes nothing."""
    children = [psutil.Process(p.pid) for p in stack.processes()]
    deadline = time.monotonic() + 20
    while not all(child.children() for child in children):
        assert time.monotonic() < deadline


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def _orphan(stack: LocalStack) -> list[int]:
    """Kill the supervisor; its processes live on."""
    _await_running(stack)
    pids = [p.pid for p in stack.processes()]
    assert stack._process is not None
    stack._process.send_signal(signal.SIGKILL)
    stack._process.wait(10)
    assert all(psutil.pid_exists(pid) for pid in pids)
    return pids
