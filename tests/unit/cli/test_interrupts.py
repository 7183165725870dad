"""What is interrupted tidies up and tells what it has."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.demo.command import _folder
from cli.interrupts import unless_interrupted
from tests.unit.cli.gateways import FakeGateway


@pytest.fixture(autouse=True)
def heeded() -> Iterator[None]:
    """As where a person sits in front of it; what runs in the background may ignore them."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_work_is_cancelled_and_what_comes_after_it_goes_on(number: signal.Signals) -> None:
    tidied = asyncio.Event()

    async def work() -> bool:
        os.kill(os.getpid(), number)
        try:
            await asyncio.Event().wait()
        finally:
            tidied.set()
        return True

    assert await unless_interrupted(work()) is None
    assert tidied.is_set()


async def test_work_that_nobody_interrupts_has_its_result_or_error() -> None:
    async def works() -> int:
        return 7

    async def fails() -> int:
        raise ValueError("no")

    assert await unless_interrupted(works()) == 7
    with pytest.raises(ValueError, match="no"):
        await unless_interrupted(fails())


def test_load_that_is_interrupted_shows_its_figures_and_deletes_its_documents(
    waggle, fake_gateway: FakeGateway
) -> None:
    questions = 0

    def answer(body: dict[str, Any]) -> httpx.Response:
        nonlocal questions
        questions += 1
        if questions == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return fake_gateway.answered(body)

    fake_gateway.on_query = answer

    ran = waggle("load", "--rate", "50", "--duration", "600", "--mix", "1:0")

    assert ran.code == 130
    assert "interrupted: the figures are those until then" in ran.err
    assert "question" in ran.out
    deleted = [request for request in fake_gateway.requests if request.method == "DELETE"]
    assert len(deleted) == len(fake_gateway.documents)


def test_the_folder_of_a_demo_that_was_interrupted_is_removed_and_after_an_error_it_stays() -> None:
    def used_by(folders: list[Path], error: BaseException) -> None:
        with _folder(keep=False) as folder:
            folders.append(folder)
            raise error

    used: list[Path] = []
    with pytest.raises(KeyboardInterrupt):
        used_by(used, KeyboardInterrupt())
    with pytest.raises(RuntimeError):
        used_by(used, RuntimeError())
    assert [folder.exists() for folder in used] == [False, True]
    used[1].rmdir()
