"""A stack that is interrupted while it works: everything that was accepted ends ready after the next start."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from deploy.local.layout import Layout
from deploy.local.supervision import Supervisor
from tests.e2e.waggle import LIGHT, Running, Waggle
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(1500)

FILES = 40


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    stack = Waggle(data_dir=tmp_path / "data", settings=LIGHT)
    yield stack
    stack("down")


@pytest.fixture
def begun() -> Iterator[list[Running]]:
    """Commands that were begun; what still runs at the end is killed."""
    running: list[Running] = []
    yield running
    for command in running:
        command.kill()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(FILES):
        text = f"Report {n}.\n\n" + "\n\n".join(f"Hive {n}-{m} held {m + n} frames of brood." for m in range(60))
        (folder / f"report-{n:02}.txt").write_text(text, encoding="utf-8")
    return folder


def accepted(waggle: Waggle) -> int:
    try:
        with waggle.http() as http:
            return len(http.get("/v1/documents", params={"limit": 200}).json().get("items", []))
    except (httpx.TransportError, ValueError):  # not up yet
        return 0


async def some_are_accepted(waggle: Waggle) -> None:
    await until(lambda: accepted(waggle) >= 3, timeout_s=120, what="three documents are accepted")


async def test_ctrl_c_while_it_ingests_then_up_again(waggle: Waggle, folder: Path, begun: list[Running]) -> None:
    begun.append(up := waggle.begin_up())
    await until(lambda: "is ready at" in up.output, timeout_s=600, what="the stack is ready")
    begun.append(ingest := waggle.begin("ingest", str(folder)))
    await some_are_accepted(waggle)

    assert up.interrupt() == 0, up.output
    assert "Stopped." in up.output
    waggle.up()

    assert ingest.end() == 0, ingest.output
    assert f"{FILES} of {FILES} documents are fine." in ingest.output
    all_ready(waggle)


async def test_a_killed_supervisor_then_up_again(waggle: Waggle, folder: Path, begun: list[Running]) -> None:
    waggle.up()
    begun.append(ingest := waggle.begin("ingest", str(folder)))
    await some_are_accepted(waggle)

    psutil.Process(Supervisor(Layout(waggle.data_dir)).pid()).send_signal(signal.SIGKILL)
    again = waggle.up()

    assert "left behind" in again.stderr
    assert ingest.end() == 0, ingest.output
    all_ready(waggle)


def all_ready(waggle: Waggle) -> None:
    items = waggle.json("documents", "ls", "--limit", "0")["items"]
    assert len(items) == FILES
    assert {item["state"] for item in items} == {"ready"}
