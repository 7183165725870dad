"""New versions of documents while people search: nobody ever sees neither version, or a mixture of two.

A real broker, a real index, two real embed workers that take batches in whatever order they come, and searchers who
look as fast as they can.
"""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from contracts.errors import TransientError
from contracts.queries import QueryRequest, SearchMode
from contracts.settings import EmbedSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import TENANT, Stage
from tests.support.indexes import opened_index
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER
from workers.embed.worker import build
from workers.encoding.base import Vector
from workers.indexing.base import VectorIndex
from workers.retrieve.searcher import Searcher

SEED = 20
DOCUMENTS = ("bees", "hives", "honey")
MOST_CHUNKS = 5
SEARCHERS = 3
VERSIONS = 40
"""Of each document."""
KEPT_S = 20.0
"""Longer than any search takes here, as it is in earnest."""


@dataclass
class Seen:
    """What searchers saw that they should not have, and how much they saw."""

    searches: int = 0
    refused: int = 0
    generations: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path, log_level="error")


@pytest.fixture
async def index(settings: EmbedSettings) -> AsyncIterator[VectorIndex]:
    async with opened_index(settings, EMBEDDER) as index:
        yield index


@pytest.fixture
async def stage(broker: Broker, settings: EmbedSettings, table: Topology) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        for n in (1, 2):
            ours = settings.model_copy(update={"instance": f"embed-{n}"})
            await stack.enter_async_context(running(build(ours, embedder=lambda: EMBEDDER, kept_s=KEPT_S, table=table)))
        yield Stage(broker=broker, ledger=DocumentLedger(broker), batch_size=1)


def texts(document_id: str, version: int, chance: random.Random) -> list[str]:
    return [f"{document_id} version{version} chunk{n} text" for n in range(chance.randint(1, MOST_CHUNKS))]


async def rewrite(stage: Stage, document_id: str, chance: random.Random) -> str:
    """Version after version, batches in any order and some twice, sometimes two versions at once. Returns the last."""
    last = await stage.ingest(document_id, *texts(document_id, 0, chance))
    await until(lambda: stage.is_visible(document_id, last))
    for version in range(1, VERSIONS):
        last = await stage.prepare(document_id, *texts(document_id, version, chance))
        requests = stage.requests[last]
        for n, request in enumerate(chance.sample(requests * 2, k=len(requests) * 2)):
            await stage.publish_request(request, message_id=f"{last}.{request.batch}.{n}")
        if chance.random() < 0.7:  # else the next version overtakes this one
            await until(lambda last=last: stage.is_visible(document_id, last), timeout_s=30)  # type: ignore[misc]
    return last


async def look(search: Searcher, plans: Stage, seen: Seen) -> None:
    """Search for all chunks of all documents, for ever."""
    while True:
        request = QueryRequest(
            tenant=TENANT, query="text " + " ".join(DOCUMENTS), top_k=50, mode=SearchMode.KEYWORD, generate=False
        )
        found: defaultdict[str, defaultdict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
        try:
            passages = (await search.search(request)).passages
        except TransientError:  # they change faster than they can be searched, which is said, and not passed over
            seen.refused += 1
            continue
        for passage in passages:
            found[passage.document_id][passage.generation].add(passage.ordinal)
        seen.searches += 1
        for document_id in DOCUMENTS:
            versions = found[document_id]
            if len(versions) != 1:
                seen.wrong.append(f"{document_id}: {len(versions)} generations at once")
                continue
            ((generation, ordinals),) = versions.items()
            whole = sum(len(request.chunks) for request in plans.requests[generation])
            if ordinals != set(range(whole)):
                seen.wrong.append(f"{document_id}: chunks {sorted(ordinals)} of {whole}")
            seen.generations[document_id].add(generation)


async def test_nobody_sees_neither_version_or_a_mixture(
    stage: Stage, broker: Broker, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, seen = random.Random(SEED), Seen()
    search = Searcher(_no_vector, index, DocumentLedger(broker), scripts=frozenset({"latin"}))
    firsts = [await stage.ingest(document_id, *texts(document_id, 0, chance)) for document_id in DOCUMENTS]
    for document_id, generation in zip(DOCUMENTS, firsts, strict=True):
        await until(lambda d=document_id, g=generation: stage.is_visible(d, g))  # type: ignore[misc]
    looking = [asyncio.create_task(look(search, stage, seen)) for _ in range(SEARCHERS)]
    try:
        lasts = await asyncio.gather(
            *(rewrite(stage, document_id, random.Random(f"{SEED} {document_id}")) for document_id in DOCUMENTS)
        )
        for document_id, last in zip(DOCUMENTS, lasts, strict=True):
            await until(lambda d=document_id, g=last: stage.is_visible(d, g), timeout_s=60)  # type: ignore[misc]
    finally:
        for task in looking:
            task.cancel()
        outcomes = await asyncio.gather(*looking, return_exceptions=True)
    assert [o for o in outcomes if not isinstance(o, asyncio.CancelledError)] == []
    assert seen.wrong == []
    assert all(len(versions) > VERSIONS / 4 for versions in seen.generations.values()), "swaps were watched"
    assert seen.searches > max(VERSIONS, 20 * seen.refused)


async def _no_vector(_: str, __: str) -> Vector:
    raise AssertionError("keyword searches need none")
