"""Whoever asks what a process is doing is told, also when its event loop hangs."""

from __future__ import annotations

import asyncio
import signal
import sys
import threading
from pathlib import Path

import pytest

from observability.stacks import MOST_TASKS, StackFile, stacks
from tests.support.waiting import until

HANGING = """
import sys, time
from pathlib import Path
from observability.stacks import StackFile

def hangs_here():
    print("hanging", flush=True)
    while True:
        time.sleep(3600)

StackFile(Path(sys.argv[1])).answer_signal()
hangs_here()
"""


async def deep(release: asyncio.Event) -> None:
    await deeper(release)


async def deeper(release: asyncio.Event) -> None:
    await release.wait()


async def test_tasks_are_told_down_to_what_they_wait_for() -> None:
    release = asyncio.Event()
    task = asyncio.create_task(deep(release), name="digging")
    await asyncio.sleep(0)
    text = stacks()
    release.set()
    await task

    told = text[text.index("Task digging") :]
    assert told.index("in deep\n") < told.index("in deeper\n") < told.index("in wait\n")


async def test_threads_are_told_by_name() -> None:
    release = threading.Event()

    def waits_for_a_lock() -> None:
        release.wait()

    thread = threading.Thread(target=waits_for_a_lock, name="locked")
    thread.start()
    text = stacks()
    release.set()
    thread.join()

    assert "Thread locked" in text
    assert "in waits_for_a_lock" in text


async def test_values_are_not_told() -> None:
    secret = "wk_" + "5" * 8

    async def holds(key: str, release: asyncio.Event) -> None:
        await release.wait()

    release = asyncio.Event()
    task = asyncio.create_task(holds(secret, release))
    await asyncio.sleep(0)
    text = stacks()
    release.set()
    await task

    assert "in holds" in text
    assert secret not in text


async def test_tasks_are_bounded() -> None:
    release = asyncio.Event()
    tasks = [asyncio.create_task(deeper(release)) for _ in range(MOST_TASKS + 20)]
    await asyncio.sleep(0)
    text = stacks()
    release.set()
    await asyncio.gather(*tasks)

    assert text.count("Task Task-") <= MOST_TASKS
    assert "more tasks" in text


def test_a_file_that_has_become_long_begins_anew(tmp_path: Path) -> None:
    file = StackFile(tmp_path / "logs" / "a.stacks", most_bytes=100)
    for n in range(10):
        file.append(f"{n}" * 60)
        assert file.path.stat().st_size <= 160
    assert file.path.read_text().endswith("9" * 60)


async def test_a_process_that_hangs_answers_the_signal_with_its_stack(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "a.stacks"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HANGING, str(path), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"hanging\n"
        process.send_signal(signal.SIGUSR1)
        await until(lambda: "hangs_here" in path.read_text())
        assert process.returncode is None
    finally:
        process.kill()
        await process.wait()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(OSError, match="logs"):
        StackFile(tmp_path / "logs" / "a.stacks").append("text")
