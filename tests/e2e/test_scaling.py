"""A stack that people scale and restart while it works: no question and no document is lost, and who was stopped on
purpose is not missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.e2e.waggle import LIGHT, Waggle
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(1500)

FILES = 30
QUESTION = "When does the honey shop in Quarrington open?"
DEADLINE_S = 120.0


@pytest.fixture
async def waggle(tmp_path: Path) -> AsyncIterator[Waggle]:
    stack = Waggle(data_dir=tmp_path / "data", settings={**LIGHT, "WAGGLE_OBSERVER_PORT": "0"})
    await asyncio.to_thread(stack.up, "--replicas", "embed=2", "--replicas", "observer=1")
    yield stack
    await asyncio.to_thread(stack, "down")


class Asking:
    """Asks one question after the other, and keeps how each that was accepted ended. One that is refused comes back, as it
    is told to.
    """

    def __init__(self, waggle: Waggle) -> None:
        self._waggle = waggle
        self.ended: list[str] = []

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(
            base_url=self._waggle.url, timeout=DEADLINE_S + 30, headers=self._waggle.shown
        ) as http:
            while True:
                reply = await http.post("/v1/query", json={"query": QUESTION, "deadline_s": DEADLINE_S, "cache": False})
                if "Retry-After" in reply.headers:
                    await asyncio.sleep(float(reply.headers["Retry-After"]))
                    continue
                answer = reply.json()
                self.ended.append(f"{reply.status_code} {answer.get('status')} {len(answer.get('citations', ()))}")


@asynccontextmanager
async def asking(waggle: Waggle, *, at_once: int) -> AsyncIterator[Asking]:
    questions = Asking(waggle)
    tasks = [asyncio.create_task(questions.run()) for _ in range(at_once)]
    try:
        yield questions
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def more(questions: Asking, number: int) -> None:
    """Wait until this many more have ended."""
    wanted = len(questions.ended) + number
    await until(lambda: len(questions.ended) >= wanted, timeout_s=300, what=f"{number} more questions have ended")


def document(folder: Path, n: int) -> Path:
    file = folder / f"report-{n:02}.txt"
    text = "\n\n".join(f"Hive {n}-{m} held {m + n} frames of brood." for m in range(60))
    file.write_text(text, encoding="utf-8")
    return file


async def test_questions_are_answered_while_retrieve_is_scaled_up_and_down(waggle: Waggle, tmp_path: Path) -> None:
    def instances() -> list[str]:
        return [member["instance"] for member in waggle.json("status", code=None)["items"]]

    def alive_and_expected() -> tuple[int, int]:
        (retrieve,) = [each for each in waggle.json("figures")["uptime"] if each["component"] == "retrieve"]
        return retrieve["alive"], retrieve["expected"]

    file = tmp_path / "hours.txt"
    file.write_text("The honey shop in Quarrington opens at nine in the morning.", encoding="utf-8")
    await asyncio.to_thread(waggle, "ingest", str(file))

    async with asking(waggle, at_once=2) as questions:
        await more(questions, 10)
        up = await asyncio.to_thread(waggle.json, "scale", "retrieve", "2")
        await more(questions, 10)
        await until(
            lambda: asyncio.to_thread(lambda: alive_and_expected() == (2, 2)), timeout_s=300, what="2 are expected"
        )
        before = await asyncio.to_thread(alarms, waggle)
        down = await asyncio.to_thread(waggle.json, "scale", "retrieve", "1")
        await more(questions, 10)
        await until(
            lambda: asyncio.to_thread(lambda: alive_and_expected() == (1, 1)), timeout_s=300, what="1 is expected"
        )
        await more(questions, 10)

    assert (up["started"], down["stopped"]) == (["retrieve-2"], ["retrieve-2"])
    assert set(questions.ended) == {"200 completed 1"}
    assert "retrieve-2" not in await asyncio.to_thread(instances)
    assert await asyncio.to_thread(alarms, waggle) == before


async def test_documents_become_ready_while_an_embed_worker_is_restarted(waggle: Waggle, tmp_path: Path) -> None:
    def states() -> list[str]:
        return [item["state"] for item in waggle.json("documents", "ls", "--limit", "0")["items"]]

    folder = tmp_path / "docs"
    folder.mkdir()
    for n in range(FILES):
        document(folder, n)
    ingest = waggle.begin("ingest", str(folder))
    try:
        await until(lambda: asyncio.to_thread(lambda: "ready" in states()), timeout_s=300, what="one is ready")
        restarted = await asyncio.to_thread(waggle.json, "restart", "embed-1")
        assert await asyncio.to_thread(ingest.end) == 0, ingest.output
    finally:
        ingest.kill()

    assert restarted["restarts"] == 0
    assert await asyncio.to_thread(states) == ["ready"] * FILES


def alarms(waggle: Waggle) -> list[str]:
    """Which alerts fired because one of retrieve was missed, so far. On a busy machine a process that starts may stand still
    so long that it is missed; one that was stopped on purpose never is.
    """
    entries = waggle.json("alerts", "history", "--since", "30m")["items"]
    fired = [entry["labels"] for entry in entries if entry["state"] == "firing"]
    assert fired, "the watchdog fires from the beginning"
    missed = {"InstanceDead", "ServiceDown", "ServiceShort", "ExpectedMissing"}
    return sorted(
        labels["alertname"]
        for labels in fired
        if labels["alertname"] in missed
        and labels.get("service") == "retrieve"
        and labels.get("instance", "retrieve-2") == "retrieve-2"
    )
