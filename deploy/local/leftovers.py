"""Processes of a stack whose supervisor was killed: found again by their pid files, and stopped in order."""

from __future__ import annotations

import time
from collections.abc import Iterable

import psutil

from deploy.local.layout import Layout
from deploy.local.programs import BROKER, GATEWAY

STOP_S = 30.0
POLL_S = 0.05


def find(layout: Layout) -> dict[str, psutil.Process]:
    """The live processes that this stack's supervisor started, by program name.

    supervisord puts the address of its socket into the environment of its children; a process id that was given to
    somebody else since then does not have it.
    """
    found: dict[str, psutil.Process] = {}
    for file in layout.pids():
        process = _process(file.read_text(encoding="utf-8"))
        if process is not None and _started_by(process, layout):
            found[file.stem] = process
    return found


def stop(leftovers: dict[str, psutil.Process], *, timeout_s: float = STOP_S) -> None:
    """Stop the gateway, then the workers together, the broker last; what does not end in time is killed."""
    for stage in _in_order(leftovers):
        members = [leftovers[name] for name in stage]
        _signal(members, graceful=True)
        alive = _await_end(members, timeout_s)
        _signal(alive, graceful=False)
        _await_end(alive, timeout_s)


def _await_end(processes: list[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that are still alive after `timeout_s`. One that has ended may stay a zombie for a while: it is not ours to
    reap.
    """
    deadline = time.monotonic() + timeout_s
    alive = [p for p in processes if _lives(p)]
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_S)
        alive = [p for p in alive if _lives(p)]
    return alive


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _in_order(names: Iterable[str]) -> list[list[str]]:
    names = list(names)
    edge = {BROKER, GATEWAY}
    return [[n for n in names if n == GATEWAY], [n for n in names if n not in edge], [n for n in names if n == BROKER]]


def _process(text: str) -> psutil.Process | None:
    try:
        return psutil.Process(int(text))
    except (ValueError, psutil.NoSuchProcess):
        return None


def _started_by(process: psutil.Process, layout: Layout) -> bool:
    try:
        return _lives(process) and process.environ().get("SUPERVISOR_SERVER_URL") == layout.supervisor_url
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], *, graceful: bool) -> None:
    for process in processes:
        try:
            process.terminate() if graceful else process.kill()
        except psutil.NoSuchProcess:
            continue
