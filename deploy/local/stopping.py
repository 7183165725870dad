"""Stopping a stack in order, within a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

import psutil

from deploy.local import leftovers
from deploy.local.layout import Layout
from deploy.local.supervision import Supervisor, SupervisorGoneError

STOP_SLACK_S = 30.0
"""On top of what the groups may take one after the other."""
POLL_S = 0.2


def stop(layout: Layout, *, on_progress: Callable[[list[str]], None] | None = None) -> bool:
    """Stop the stack of a data folder: operator, observer, gateway, workers, keeper, broker. False when nothing ran.

    `on_progress` hears now and then which programs are still alive. Bounded: a process that does not end in its time is killed, and so is a supervisor that does not. What a killed
    supervisor left behind is stopped too.
    """
    supervisor = Supervisor(layout)
    try:
        process = psutil.Process(supervisor.pid())
        supervisor.shut_down()
    except (SupervisorGoneError, psutil.NoSuchProcess):
        return _stop_leftovers(layout)
    if not _await_end(process, layout, on_progress):
        process.kill()
        process.wait(STOP_SLACK_S)
    _stop_leftovers(layout)
    return True


def _await_end(process: psutil.Process, layout: Layout, on_progress: Callable[[list[str]], None] | None) -> bool:
    deadline = time.monotonic() + _bound_s(layout)
    while time.monotonic() < deadline:
        if on_progress is not None:
            on_progress(sorted(leftovers.find(layout)))  # a supervisor that shuts down tells nothing any more
        try:
            process.wait(POLL_S)
        except psutil.TimeoutExpired:
            continue
        return True
    return False


def _bound_s(layout: Layout) -> float:
    """Groups stop one after the other, the programs of one together: as if each held the one that takes longest."""
    lines = layout.supervisor_config.read_text(encoding="utf-8").splitlines()
    groups = sum(line.startswith("[group:") for line in lines)
    waits = [float(line.split("=")[1]) for line in lines if line.startswith("stopwaitsecs")]
    return groups * max(waits, default=0.0) + STOP_SLACK_S


def _stop_leftovers(layout: Layout) -> bool:
    found = leftovers.find(layout)
    leftovers.stop(found)
    layout.state.unlink(missing_ok=True)
    return bool(found)
