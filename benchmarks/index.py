"""The index: our adapters beside the engines' own clients, which do the same work in turn, in one run.

The same work is: the same columns made of the same rows, written in the same batches to a table of the same kind; both
sides of a search at once with the same conditions, and their hits put together by chunk, each with its cosine. Vectors are
random, which is the hardest case for an engine's graph; words follow Zipf's law, as in texts.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import TypeVar

import numpy as np
import uvloop

from benchmarks.figures import Figure, against, percentile
from benchmarks.index_sides import Sides, lancedb, weaviate
from contracts.identifiers import chunk_id, digest
from contracts.queries import Filters
from tests.support.weaviate_server import find_binary
from workers.encoding.base import EncoderIdentity, PassageEmbedding, Vector
from workers.indexing.base import Row

T = TypeVar("T")

CHUNKS = 50_000
BATCH = 100
CHUNKS_PER_DOCUMENT = 20
SEARCH_PAIRS = 200
WARM_UP = 20
LIMIT = 20
WORDS_PER_CHUNK = 80
WORDS_PER_QUESTION = 6
VOCABULARY = 20_000
TENANT = "default"
IDENTITY = EncoderIdentity(model="random", dimension=384)
LATENCY_BAR = "<= 1.15"
RATE_BAR = ">= 0.87"  # the same, the other way round


def measure(chunks: int = CHUNKS) -> list[Figure]:
    """Upserts a second and latency of hybrid searches of each engine; of Weaviate where its server is installed."""
    figures = uvloop.run(_measured("lancedb", lancedb(IDENTITY), chunks))
    if find_binary() is not None:
        figures += uvloop.run(_measured("weaviate", weaviate(IDENTITY), chunks))
    return figures


async def _measured(engine: str, opened: AbstractAsyncContextManager[Sides], chunks: int) -> list[Figure]:
    rng = np.random.default_rng(7)
    async with opened as sides:
        written = await _in_turn(_batches(rng, chunks), sides.ours.upsert, sides.raw.upsert)
        await sides.ours.optimize()
        await sides.raw.optimize()
        searched = await _in_turn(
            _questions(rng),
            lambda asked: sides.ours.search(
                TENANT, text=asked[0], vector=asked[1], limit=LIMIT, filters=Filters(), visible=None
            ),
            lambda asked: sides.raw.search(TENANT, text=asked[0], vector=asked[1], limit=LIMIT),
        )
    ours, raw = (chunks / sum(times) for times in written)
    latencies = [percentile(times[WARM_UP:], 0.5) * 1000 for times in searched]
    return [
        against(f"{engine}_upserts", ours, raw, unit="chunks/s", bar=RATE_BAR),
        against(f"{engine}_hybrid_p50", *latencies, unit="ms", bar=LATENCY_BAR),
    ]


async def _in_turn(
    items: Iterator[T], ours: Callable[[T], Awaitable[object]], raw: Callable[[T], Awaitable[object]]
) -> tuple[list[float], list[float]]:
    """Seconds that each took for each item; who begins changes every time."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number, item in enumerate(items):
        sides = list(zip(taken, (ours, raw), strict=True))
        for times, side in sides if number % 2 else reversed(sides):
            begun = time.perf_counter()
            await side(item)
            times.append(time.perf_counter() - begun)
    return taken


def _batches(rng: np.random.Generator, chunks: int) -> Iterator[list[Row]]:
    for start in range(0, chunks, BATCH):
        yield [_row(rng, number) for number in range(start, min(start + BATCH, chunks))]


def _row(rng: np.random.Generator, number: int) -> Row:
    document, ordinal = divmod(number, CHUNKS_PER_DOCUMENT)
    text = _text(rng, WORDS_PER_CHUNK)
    half = len(text) // 2
    return Row(
        chunk_id=chunk_id(TENANT, f"d{document}", "g1", ordinal),
        tenant=TENANT,
        document_id=f"d{document}",
        generation="g1",
        ordinal=ordinal,
        name=f"d{document}.txt",
        text=text,
        text_digest=digest(text),
        start=ordinal * 1_000,
        end=ordinal * 1_000 + len(text),
        page=ordinal + 1,
        heading="Section",
        metadata={"language": "en", "kind": str(document % 5)},
        sentences=((0, half), (half, len(text))),
        embedding=PassageEmbedding(vector=_vectors(rng, 1)[0], sentences=_vectors(rng, 2)),
    )


def _questions(rng: np.random.Generator) -> Iterator[tuple[str, Vector]]:
    asked = ((_text(rng, WORDS_PER_QUESTION), _vectors(rng, 1)[0]) for _ in itertools.count())
    return itertools.islice(asked, WARM_UP + SEARCH_PAIRS)


def _text(rng: np.random.Generator, words: int) -> str:
    return " ".join(f"w{word % VOCABULARY}" for word in rng.zipf(1.3, size=words))


def _vectors(rng: np.random.Generator, count: int) -> Vector:
    """(count, d) float32, L2-normalised."""
    drawn = rng.standard_normal((count, IDENTITY.dimension)).astype(np.float32)
    vectors: Vector = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return vectors
