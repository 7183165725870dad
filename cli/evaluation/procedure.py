"""Asks every question of a dataset and checks what comes back, through whatever client it is given."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from cli.evaluation.dataset import Dataset
from cli.evaluation.metrics import Report, report
from cli.evaluation.replies import Cited, Reply

Ask = Callable[[str], Awaitable[Reply]]
"""Asks one question."""
ReadText = Callable[[str, int, int], Awaitable[str]]
"""Reads `[start, end)` of the extracted text of the document with this id."""

AT_ONCE = 4
T = TypeVar("T")
R = TypeVar("R")


async def evaluate(
    dataset: Dataset,
    ask: Ask,
    read_text: ReadText,
    *,
    at_once: int = AT_ONCE,
    on_progress: Callable[[int, int], None] | None = None,
) -> Report:
    """Ask everything, `at_once` questions at a time, check every citation, and report.

    The documents must be there already. `on_progress` is told how many of how many questions are done. Raises what
    `ask` and `read_text` raise: figures with holes would mislead.
    """
    texts = [question.question for question in dataset.questions] + list(dataset.unanswerable)
    done = 0

    async def ask_and_count(text: str) -> Reply:
        nonlocal done
        reply = await ask(text)
        done += 1
        if on_progress:
            on_progress(done, len(texts))
        return reply

    async def is_exact(cited: Cited) -> bool:
        return await read_text(cited.document_id, cited.start, cited.end) == cited.quote

    replies = await _each(texts, ask_and_count, at_once)
    exact = await _each([cited for reply in replies for cited in reply.citations], is_exact, at_once)
    answerable = len(dataset.questions)
    return report(list(zip(dataset.questions, replies[:answerable], strict=True)), replies[answerable:], exact)


async def _each(items: Sequence[T], work: Callable[[T], Awaitable[R]], at_once: int) -> list[R]:
    """The results in order; the first failure ends the rest and is raised as it is."""
    room = asyncio.Semaphore(at_once)

    async def one(item: T) -> R:
        async with room:
            return await work(item)

    tasks = [asyncio.ensure_future(one(item)) for item in items]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
