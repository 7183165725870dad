"""Stacks of a process whose event loop does nothing any more."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.platforms.stack_dumps import dumped_stacks

HANGS = """
import sys, time
from pathlib import Path
from observability.stacks import StackFile

def hangs():
    print("hangs", flush=True)
    while True:
        time.sleep(0.01)

StackFile(Path(sys.argv[1])).answer_signal()
hangs()
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "embed-embed-1.stacks"


@pytest.fixture
def hanging(file: Path) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", HANGS, str(file)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"hangs\n"
        yield process
        process.kill()


def test_a_process_that_hangs_tells_where(hanging: subprocess.Popen[bytes], file: Path) -> None:
    file.write_text("of an earlier order\n", encoding="utf-8")

    told = dumped_stacks(hanging.pid, file)

    assert "in hangs" in told
    assert "earlier" not in told
    assert hanging.poll() is None


def test_a_process_that_is_stopped_is_said_to_be(hanging: subprocess.Popen[bytes], file: Path) -> None:
    hanging.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, hanging.pid, os.WSTOPPED | os.WNOWAIT)

    assert "stopped" in dumped_stacks(hanging.pid, file)


def test_a_process_that_the_signal_would_end_is_spared(file: Path) -> None:
    with subprocess.Popen(["sleep", "600"]) as process:
        assert "does not catch SIGUSR1" in dumped_stacks(process.pid, file)
        assert process.poll() is None
        process.kill()


def test_nobody_is_asked_where_nothing_runs(file: Path) -> None:
    assert "does not run" in dumped_stacks(0, file)
