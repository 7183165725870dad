"""The embed worker on a real broker and a real index: from batches to visible rows, whatever happens on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from contracts.documents import DocumentState, GenerationState
from contracts.errors import ErrorCode
from contracts.events import DocumentFact
from contracts.health import EXIT_CONFIGURATION
from contracts.queries import Filters
from contracts.settings import EmbedSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import BAD, TENANT, Stage, WatchedEmbedder
from tests.support.indexes import opened_index
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index

KEPT_S = 1.0


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path, log_level="error")


@pytest.fixture
def stage(broker: Broker) -> Stage:
    return Stage(broker=broker, ledger=DocumentLedger(broker))


@pytest.fixture
async def index(settings: EmbedSettings) -> AsyncIterator[VectorIndex]:
    """The index as another process sees it."""
    async with opened_index(settings) as index:
        yield index


@pytest.fixture
def embedder() -> WatchedEmbedder:
    return WatchedEmbedder()


@pytest.fixture
def app(settings: EmbedSettings, embedder: WatchedEmbedder, table: Topology) -> WorkerApp:
    return build(settings, embedder=lambda: embedder, kept_s=KEPT_S, table=table)


async def test_the_last_batch_makes_the_document_visible_with_all_its_rows(
    app: WorkerApp, stage: Stage, index: VectorIndex
) -> None:
    async with running(app):
        generation = await stage.ingest("d", "one", "two", "three", "four", "five")
        await until(lambda: stage.is_visible("d", generation))
    assert await index.count_generation(TENANT, "d", generation) == 5
    found = await index.search(TENANT, text="three", vector=None, limit=5, filters=Filters())
    assert [(c.text, c.start, c.name) for c in found] == [("three", 200, "d.txt")]
    assert await stage.told(DocumentFact.READY) == 1
    assert 1 <= await stage.told(DocumentFact.PROGRESS) <= 3  # two that finish at once tell the same


async def test_repeated_batches_change_nothing(app: WorkerApp, stage: Stage, index: VectorIndex) -> None:
    async with running(app):
        generation = await stage.prepare("d", "one", "two", "three")
        for repeat in ("", "again", "once more"):
            await stage.publish(generation, repeat=repeat)
        await until(lambda: stage.is_visible("d", generation))
        await until(stage.queue_is_empty)
        await stage.publish(generation, repeat="late")
        await until(stage.queue_is_empty)
    assert await index.count_generation(TENANT, "d", generation) == 3
    assert await stage.is_visible("d", generation)
    assert await stage.told(DocumentFact.READY) == 1


async def test_a_batch_of_another_plan_than_the_recorded_one_is_dropped(
    app: WorkerApp, stage: Stage, index: VectorIndex, embedder: WatchedEmbedder
) -> None:
    generation = await stage.prepare("d", "one")
    foreign = stage.requests[generation][0].model_copy(update={"plan_id": "f" * 64})
    async with running(app):
        await stage.publish_request(foreign, message_id="foreign")
        await until(stage.queue_is_empty)
    assert embedder.encoded == []
    assert await index.count_generation(TENANT, "d", generation) == 0
    assert (await stage.record("d")).pending_generation == generation


async def test_a_superseded_generation_is_dropped_and_the_newer_one_becomes_visible(
    app: WorkerApp, stage: Stage, index: VectorIndex
) -> None:
    older = await stage.prepare("d", "old text")
    newer = await stage.prepare("d", "new text")
    async with running(app):
        await stage.publish(older)
        await stage.publish(newer)
        await until(lambda: stage.is_visible("d", newer))
        await until(stage.queue_is_empty)
    assert await index.count_generation(TENANT, "d", older) == 0


async def test_two_workers_share_the_batches_of_many_documents(
    settings: EmbedSettings, table: Topology, stage: Stage, index: VectorIndex
) -> None:
    stage.batch_size = 1
    embedders = [WatchedEmbedder(), WatchedEmbedder()]
    brisk = settings.model_copy(update={"embed_batch_messages": 2})
    async with AsyncExitStack() as stack:
        for number, one in enumerate(embedders):
            own = brisk.model_copy(update={"instance": f"embed-{number}"})
            await stack.enter_async_context(running(build(own, embedder=partial(_itself, one), table=table)))
        generations = {f"d{i}": await stage.ingest(f"d{i}", *(f"{i} text {j}" for j in range(6))) for i in range(8)}
        for document_id, generation in generations.items():
            await until(partial(stage.is_visible, document_id, generation), timeout_s=30)
    for document_id, generation in generations.items():
        assert await index.count_generation(TENANT, document_id, generation) == 6
    assert all(embedder.encoded for embedder in embedders)


async def test_only_changed_chunks_of_a_document_are_encoded_again(
    app: WorkerApp, stage: Stage, index: VectorIndex, embedder: WatchedEmbedder
) -> None:
    async with running(app):
        first = await stage.ingest("d", "same", "old", "also the same")
        await until(lambda: stage.is_visible("d", first))
        embedder.encoded.clear()
        second = await stage.ingest("d", "same", "new", "also the same")
        await until(lambda: stage.is_visible("d", second))
    assert embedder.encoded == ["new"]
    assert await index.count_generation(TENANT, "d", second) == 3


async def test_rows_of_a_replaced_generation_stay_for_questions_under_way_and_then_go(
    app: WorkerApp, stage: Stage, index: VectorIndex
) -> None:
    async with running(app):
        first = await stage.ingest("d", "old")
        await until(lambda: stage.is_visible("d", first))
        second = await stage.ingest("d", "new")
        await until(lambda: stage.is_visible("d", second))
        flipped_at = (await stage.record("d")).latest.updated_at

        async def purged() -> bool:
            return await stage.told(DocumentFact.PURGED) == 1

        await until(purged, timeout_s=60)
        assert (stage.broker.clock.now() - flipped_at).total_seconds() >= KEPT_S
        await until(stage.queue_is_empty)
    assert await index.count_generation(TENANT, "d", first) == 0
    assert await index.count_generation(TENANT, "d", second) == 1
    assert await stage.told(DocumentFact.SUPERSEDED) == 1


async def test_a_purge_of_what_is_visible_is_refused(app: WorkerApp, stage: Stage, index: VectorIndex) -> None:
    async with running(app):
        generation = await stage.ingest("d", "one")
        await until(lambda: stage.is_visible("d", generation))
        await stage.purge("d", generation)
        await until(stage.queue_is_empty)
    assert await index.count_generation(TENANT, "d", generation) == 1
    assert (await stage.broker.js.stream_info("DLQ")).state.messages == 1


async def test_a_bad_chunk_fails_its_document_and_no_other(app: WorkerApp, stage: Stage, index: VectorIndex) -> None:
    good = await stage.prepare("good", "one", "two")
    bad = await stage.prepare("bad", "fine", BAD)
    other = await stage.prepare("other", "three")
    for generation in (good, bad, other):
        await stage.publish(generation)
    async with running(app):
        await until(lambda: stage.is_visible("good", good))
        await until(lambda: stage.is_visible("other", other))

        async def failed() -> bool:
            return (await stage.record("bad")).state is DocumentState.FAILED

        await until(failed)
        await until(stage.queue_is_empty)
    ended = (await stage.record("bad")).latest
    assert ended.state is GenerationState.FAILED
    assert ended.failure is not None
    assert ended.failure.code == ErrorCode.ENCODING_FAILED
    assert "bad.txt" in ended.failure.message
    assert await index.count_generation(TENANT, "bad", bad) == 0
    assert await stage.told(DocumentFact.FAILED) == 1


async def test_an_encoder_that_fails_on_everything_fails_no_document(
    settings: EmbedSettings, table: Topology, stage: Stage
) -> None:
    class Broken(WatchedEmbedder):
        broken, calls = True, 0

        def encode_passages(self, passages):
            self.calls += 1
            found = super().encode_passages(passages)
            return [RuntimeError("device lost")] * len(found) if self.broken else found

    embedder = Broken()
    async with running(build(settings, embedder=lambda: embedder, table=table)):
        generation = await stage.ingest("d", "one")
        await until(lambda: embedder.encoded == ["one"] and embedder.calls >= 3)  # the last ones are looks
        embedder.broken = False
        await until(lambda: stage.is_visible("d", generation), timeout_s=60)


async def test_a_document_deleted_while_it_is_encoded_leaves_no_rows(
    app: WorkerApp, stage: Stage, index: VectorIndex, embedder: WatchedEmbedder
) -> None:
    embedder.open.clear()
    async with running(app):
        generation = await stage.ingest("d", "one", "two")
        await until(embedder.entered.is_set)
        await stage.ledger.delete(TENANT, "d")
        embedder.open.set()
        await until(stage.queue_is_empty)
    assert embedder.encoded == ["one", "two"]
    assert await index.count_generation(TENANT, "d", generation) == 0
    assert (await stage.record("d")).deleted


async def test_a_deleted_document_is_purged_at_once(app: WorkerApp, stage: Stage, index: VectorIndex) -> None:
    async with running(app):
        generation = await stage.ingest("d", "one", "two")
        await until(lambda: stage.is_visible("d", generation))
        await stage.ledger.delete(TENANT, "d")
        await stage.purge("d", generation)
        await until(stage.queue_is_empty)
    assert await index.count_generation(TENANT, "d", generation) == 0
    assert await stage.told(DocumentFact.PURGED) == 1


async def test_a_worker_killed_after_the_flip_leaves_its_events_to_the_repeat(
    app: WorkerApp, stage: Stage, index: VectorIndex
) -> None:
    """Given a generation that was flipped, but nothing told of it: its batch comes again and tells it."""
    generation = await stage.prepare("d", "one")
    await stage.ledger.ready(TENANT, "d", generation)
    async with running(app):
        await stage.publish(generation)
        await until(stage.queue_is_empty)
    assert await stage.told(DocumentFact.READY) == 1


async def test_an_index_of_another_encoder_stops_the_worker_at_start(
    settings: EmbedSettings, table: Topology, stage: Stage
) -> None:
    other = build_index(settings, replace(SimulatedEmbedder().identity, model="another"))
    await other.open()
    await other.close()
    app = build(settings, embedder=WatchedEmbedder, table=table)
    async with asyncio.timeout(20):
        assert await app.run(handle_signals=False) == EXIT_CONFIGURATION


def _itself(embedder: WatchedEmbedder) -> WatchedEmbedder:
    return embedder
