"""Processes that a killed supervisor left behind."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import leftovers
from deploy.local.layout import Layout

Start = Callable[..., int]
IGNORES_SIGTERM = "trap '' TERM; while :; do sleep 0.05; done"


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    return made


@pytest.fixture
def start(layout: Layout) -> Iterator[Start]:
    """Starts a process that looks like one of the stack's, with its pid file."""
    started: list[subprocess.Popen[bytes]] = []

    def run(name: str, script: str = "sleep 60", *, url: str | None = None) -> int:
        environment = {**os.environ, "SUPERVISOR_SERVER_URL": url or layout.supervisor_url}
        process = subprocess.Popen(["sh", "-c", script], env=environment, start_new_session=True)
        started.append(process)
        _await_environment(process.pid)
        layout.pid(name).write_text(f"{process.pid}\n", encoding="utf-8")
        return process.pid

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_a_live_process_of_the_stack_is_found_by_its_pid_file(layout: Layout, start: Start) -> None:
    pid = start("embed-1")

    assert {name: process.pid for name, process in leftovers.find(layout).items()} == {"embed-1": pid}


def test_a_pid_that_was_given_to_somebody_else_is_left_alone(layout: Layout) -> None:
    layout.pid("embed-1").write_text(str(os.getpid()), encoding="utf-8")

    assert leftovers.find(layout) == {}


def test_a_process_of_another_stack_is_left_alone(layout: Layout, start: Start) -> None:
    start("embed-1", url="unix:///elsewhere/supervisor.sock")

    assert leftovers.find(layout) == {}


def test_stale_and_unreadable_pid_files_are_passed_over(layout: Layout) -> None:
    layout.pid("embed-1").write_text("", encoding="utf-8")
    layout.pid("embed-2").write_text("4194305", encoding="utf-8")

    assert leftovers.find(layout) == {}


def test_what_does_not_end_in_time_is_killed(layout: Layout, start: Start) -> None:
    start("nats", IGNORES_SIGTERM)

    leftovers.stop(leftovers.find(layout), timeout_s=0.3)

    assert leftovers.find(layout) == {}


def _await_environment(pid: int, timeout_s: float = 10.0) -> None:
    """A process that was started a moment ago may not show its environment yet: its start returns amid `exec`."""
    deadline = time.monotonic() + timeout_s
    while not psutil.Process(pid).environ():
        assert time.monotonic() < deadline, f"process {pid} shows no environment within {timeout_s:g} s"
        time.sleep(0.01)
