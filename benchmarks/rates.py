"""Searches a second over HTTP, of one client, eight, and thirty-two: of questions that are new, and of such that were asked before."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Iterator

import uvloop

from benchmarks.client import Asker, submit, wait_ready
from benchmarks.corpus import questions, sample_texts, short_documents
from benchmarks.figures import Figure, percentile
from benchmarks.stack import running

CLIENTS = (1, 8, 32)
ASKED = 960
WARM_UP = 60
DOCUMENTS = 500


def measure() -> list[Figure]:
    """With the encoder as it comes, on a stack with a few hundred documents."""
    with running(settings={"WAGGLE_CACHE": "memory"}) as stack:
        documents = [*sample_texts(), *short_documents(DOCUMENTS)]
        submit(stack.url, documents)
        wait_ready(stack.url, [document.document_id for document in documents])
        return uvloop.run(_measure(stack.url))


async def _measure(url: str) -> list[Figure]:
    known, found = questions("en"), list[Figure]()
    new = (f"{question} ({n})" for n, question in enumerate(itertools.cycle(known)))
    await _ask(url, itertools.cycle(known), clients=1, number=WARM_UP + len(known))
    for clients in CLIENTS:
        for name, asked in (("new", new), ("known", itertools.cycle(known))):
            rate, took_ms = await _ask(url, asked, clients=clients, number=ASKED)
            found += [
                Figure(name=f"search_{name}_c{clients}_rate", value=rate, unit="1/s"),
                Figure(name=f"search_{name}_c{clients}_p95", value=percentile(took_ms, 0.95), unit="ms"),
            ]
    return found


async def _ask(url: str, asked: Iterator[str], *, clients: int, number: int) -> tuple[float, list[float]]:
    """Questions a second, and how long each took."""
    took_ms: list[float] = []

    async def client(count: int) -> None:
        async with Asker.connected(url) as asker:
            for _ in range(count):
                started = time.perf_counter()
                await asker.ask(next(asked), generate=False)
                took_ms.append((time.perf_counter() - started) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(client(number // clients) for _ in range(clients)))
    return len(took_ms) / (time.perf_counter() - began), took_ms
