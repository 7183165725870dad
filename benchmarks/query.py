"""A question over HTTP and NATS against the same work in one process, in interleaved pairs."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence

from benchmarks.client import Asker
from benchmarks.corpus import questions
from benchmarks.figures import Figure, against, percentile
from benchmarks.in_process import InProcess

PAIRS = 240
SEARCH_PAIRS = 120
WARM_UP = 20
CLIENTS = 8
ASKED = 240
ROUNDS = 3


async def latencies(url: str, baseline: InProcess) -> list[Figure]:
    """Latency of an answer, of a search alone, and what is added to questions that skip the encoder.

    The ratios are of English questions, which take the whole way. The default encoder does not serve Chinese, so those
    skip it: as many milliseconds on top of half the work, shown as a figure of its own.
    """
    asked = itertools.cycle(questions("en"))
    return [
        *await _latency(url, baseline, asked),
        *await _search_latency(url, baseline, asked),
        await _chinese_overhead(url, baseline, itertools.cycle(questions("zh"))),
    ]


async def throughput(url: str, baseline: InProcess) -> list[Figure]:
    """Questions per second of eight clients."""
    return [await _throughput(url, baseline, itertools.cycle(questions("en")))]


async def _latency(url: str, baseline: InProcess, asked: Iterator[str]) -> list[Figure]:
    stages: dict[str, list[float]] = {}

    async def over_http(question: str) -> None:
        answer = await client.ask(question)
        for stage, took_ms in answer["timings_ms"].items():
            stages.setdefault(stage, []).append(took_ms)

    async with Asker.connected(url) as client:
        ours, plain = await pairs(over_http, baseline.ask, asked, count=PAIRS)
    return [
        against("query_p50", percentile(ours, 0.5), percentile(plain, 0.5), unit="ms", bar="<= 1.25"),
        against("query_p95", percentile(ours, 0.95), percentile(plain, 0.95), unit="ms", bar="<= 1.25"),
        Figure(
            name="query_overhead_p50",
            value=percentile([a - b for a, b in zip(ours, plain, strict=True)], 0.5),
            unit="ms",
        ),
        *(
            Figure(name=f"query_stage_{stage}_p50", value=percentile(values, 0.5), unit="ms")
            for stage, values in stages.items()
        ),
    ]


async def _search_latency(url: str, baseline: InProcess, asked: Iterator[str]) -> list[Figure]:
    async def over_http(question: str) -> None:
        await client.ask(question, generate=False)

    async def in_process(question: str) -> None:
        await baseline.ask(question, generate=False)

    async with Asker.connected(url) as client:
        ours, plain = await pairs(over_http, in_process, asked, count=SEARCH_PAIRS)
    return [against("search_p50", percentile(ours, 0.5), percentile(plain, 0.5), unit="ms", bar="<= 1.15")]


async def _chinese_overhead(url: str, baseline: InProcess, asked: Iterator[str]) -> Figure:
    async with Asker.connected(url) as client:
        ours, plain = await pairs(client.ask, baseline.ask, asked, count=SEARCH_PAIRS)
    overhead = [a - b for a, b in zip(ours, plain, strict=True)]
    return Figure(name="query_overhead_zh_p50", value=percentile(overhead, 0.5), unit="ms")


async def pairs(
    ours: Callable[[str], Awaitable[object]],
    plain: Callable[[str], Awaitable[object]],
    asked: Iterator[str],
    *,
    count: int,
) -> tuple[list[float], list[float]]:
    """Milliseconds of both for the same questions; who goes first alternates."""
    times: dict[int, list[float]] = {0: [], 1: []}
    for n in range(WARM_UP + count):
        question = next(asked)
        for which in (0, 1) if n % 2 else (1, 0):
            started = time.perf_counter()
            await (ours, plain)[which](question)
            times[which].append((time.perf_counter() - started) * 1000)
    return times[0][WARM_UP:], times[1][WARM_UP:]


async def _throughput(url: str, baseline: InProcess, asked: Iterator[str]) -> Figure:
    ours, plain = [], []
    for _ in range(ROUNDS):
        questions = [next(asked) for _ in range(ASKED)]
        plain.append(await _rate_in_process(baseline, questions))
        ours.append(await _rate_over_http(url, questions))
    return against("query_throughput", sorted(ours)[1], sorted(plain)[1], unit="queries/s", bar=">= 0.9")


async def _rate_in_process(baseline: InProcess, questions: Sequence[str]) -> float:
    async def client(share: Sequence[str]) -> None:
        for question in share:
            await baseline.ask(question)

    return await _rate(client, questions)


async def _rate_over_http(url: str, questions: Sequence[str]) -> float:
    async def client(share: Sequence[str]) -> None:
        async with Asker.connected(url) as asker:
            for question in share:
                await asker.ask(question)

    return await _rate(client, questions)


async def _rate(client: Callable[[Sequence[str]], Awaitable[None]], questions: Sequence[str]) -> float:
    """Questions per second, by so many clients at once that each ask their share one by one."""
    started = time.perf_counter()
    await asyncio.gather(*(client(questions[n::CLIENTS]) for n in range(CLIENTS)))
    return len(questions) / (time.perf_counter() - started)
