"""The index against the ledger, with the real embed worker and a real index."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.census import CensusPage
from contracts.documents import DocumentState, Failure, IngestRequest
from contracts.errors import TransientError
from contracts.reconciliation import Remedy
from contracts.settings import EmbedSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.census import CensusOffice, CensusUnavailableError, IndexCensus
from messaging.document_letters import DocumentLetters
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from messaging.uploads import Uploads
from tests.broker.embedding_stage import TENANT, Stage
from tests.broker.test_reconciler import letter, put
from tests.support.indexes import opened_index
from tests.support.letters import dead_letters
from tests.support.reconciling import done, found, reconciling, told
from tests.support.subscriptions import known_to_broker
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER, row
from workers.embed.worker import build
from workers.indexing.base import VectorIndex
from workers.keeper.reconciliation import rows
from workers.keeper.reconciliation.reconciler import Reconciler


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path, log_level="error")


@pytest.fixture
def stage(broker: Broker) -> Stage:
    return Stage(broker=broker, ledger=DocumentLedger(broker))


@pytest.fixture
async def index(settings: EmbedSettings) -> AsyncIterator[VectorIndex]:
    async with opened_index(settings, EMBEDDER) as index:
        yield index


@pytest.fixture
async def embed(broker: Broker, settings: EmbedSettings, table: Topology) -> AsyncIterator[WorkerApp]:
    async with running(build(settings, embedder=lambda: EMBEDDER, kept_s=0, table=table)) as app:
        yield app


@pytest.fixture
async def reconciler(broker: Broker, table: Topology, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reconciler]:
    monkeypatch.setattr(rows, "READ_ON", timedelta())
    async with reconciling(broker, table=table) as ours:
        yield ours


async def ready(stage: Stage, document_id: str, *texts: str) -> str:
    generation = await stage.ingest(document_id, *(texts or ("one", "two", "three")))
    await until(lambda: stage.is_visible(document_id, generation))
    await until(stage.queue_is_empty)
    return generation


async def test_what_fits_together_is_left_alone(embed: WorkerApp, stage: Stage, reconciler: Reconciler) -> None:
    await ready(stage, "first")
    await ready(stage, "second")
    assert await found(reconciler) == []


async def test_rows_of_a_generation_that_is_over_are_purged(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler
) -> None:
    """As when the purge request of a superseded, deleted or failed generation was never published."""
    old = await ready(stage, "replaced", "old")
    new = await stage.prepare("replaced", "new")
    await index.upsert([row("new", document_id="replaced", generation=new, tenant=TENANT)])
    await stage.ledger.ready(TENANT, "replaced", new)
    deleted = await ready(stage, "deleted")
    await stage.ledger.delete(TENANT, "deleted")
    assert set(await found(reconciler)) == {(Remedy.PURGE, "replaced"), (Remedy.PURGE, "deleted")}
    assert set(await done(reconciler)) == {(Remedy.PURGE, "replaced"), (Remedy.PURGE, "deleted")}
    await until(lambda: _gone(index, "replaced", old))
    await until(lambda: _gone(index, "deleted", deleted))
    assert await found(reconciler) == []


async def _gone(index: VectorIndex, document_id: str, generation: str) -> bool:
    return await index.count_generation(TENANT, document_id, generation) == 0


async def test_rows_of_a_failed_generation_are_purged(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler
) -> None:
    failed = await stage.prepare("failed", "one", "two", "three")
    await stage.publish(failed, only=0)
    await until(stage.queue_is_empty)
    await stage.ledger.fail(TENANT, "failed", failed, Failure(code="internal_error", message="It broke."))
    assert await done(reconciler) == [(Remedy.PURGE, "failed")]
    await until(lambda: _gone(index, "failed", failed))


async def test_rows_without_a_record_are_told_once_and_stay(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler, broker: Broker
) -> None:
    await ready(stage, "known", *(f"text {n}" for n in range(60)))
    await index.upsert([row("whose?", document_id="unknown", tenant=TENANT)])
    assert await done(reconciler) == [(Remedy.QUARANTINE, "unknown")]
    assert await done(reconciler) == []
    assert [event.document_id for event in await told(broker)] == ["unknown"]
    assert await index.count_generation(TENANT, "unknown", "g1") == 1


async def test_a_lost_ledger_never_empties_the_index(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler, broker: Broker
) -> None:
    generation = await ready(stage, "kept")
    deleted = await ready(stage, "deleted")
    await broker.js.purge_stream("KV_documents")
    await stage.ledger.submit(TENANT, "deleted", generation=deleted, name="x", sha256="a" * 64, size_bytes=1)
    await stage.ledger.delete(TENANT, "deleted")
    survey = await reconciler.survey()
    index_findings = [f for f in survey.findings if "index" in f.reason or "rows" in f.reason]
    assert {f.remedy for f in index_findings} == {Remedy.HOLD, Remedy.QUARANTINE}
    await done(reconciler)
    assert await index.count_generation(TENANT, "kept", generation) == 3
    assert await index.count_generation(TENANT, "deleted", deleted) == 3
    assert Remedy.HOLD in {event.remedy for event in await told(broker)}


async def test_a_person_may_have_unrecorded_rows_purged(
    embed: WorkerApp, stage: Stage, index: VectorIndex, broker: Broker, table: Topology
) -> None:
    generation = await ready(stage, "known")
    theirs = [row(f"text {n}", ordinal=n, document_id="unknown", tenant=TENANT) for n in range(9)]
    await index.upsert([*theirs, row("older", document_id="unknown", generation="g0", tenant=TENANT)])
    async with reconciling(broker, table=table, bury_unrecorded=True) as told_to:
        assert await done(told_to) == [(Remedy.PURGE, "unknown"), (Remedy.PURGE, "unknown")]
    await until(lambda: _gone(index, "unknown", "g1"))
    await until(lambda: _gone(index, "unknown", "g0"))
    assert (await stage.record("unknown")).state is DocumentState.DELETED
    assert await index.count_generation(TENANT, "known", generation) == 3


async def test_a_ready_document_without_its_rows_runs_again(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler, broker: Broker
) -> None:
    generation = await ready(stage, "hollow")
    await Uploads(broker).put(TENANT, "hollow", generation, "content", _once(b"x"), max_bytes=100)
    await index.delete_generation(TENANT, "hollow", generation)
    assert await done(reconciler) == [(Remedy.RERUN, "hollow")]
    record = await stage.record("hollow")
    assert record.visible_generation == generation
    assert record.pending_generation not in (None, generation)
    (request,) = await Storage(broker).following(topology.INGEST.name, subjects.ingest_request(TENANT))
    assert IngestRequest.from_bytes(request.data).generation == record.pending_generation
    assert await found(reconciler) == []  # it is on its way
    content = await Uploads(broker).read_bytes(TENANT, "hollow", str(record.pending_generation), "content")
    assert content == b"x"


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def test_one_whose_upload_is_gone_as_well_is_told_and_others_go_on(
    embed: WorkerApp, stage: Stage, index: VectorIndex, reconciler: Reconciler
) -> None:
    generation = await ready(stage, "hopeless")
    await index.delete_generation(TENANT, "hopeless", generation)
    assert await done(reconciler) == []
    assert await found(reconciler) == [(Remedy.RERUN, "hopeless")]
    assert (await stage.record("hopeless")).state is DocumentState.READY


async def test_without_an_embed_worker_nothing_is_told_of_the_index(broker: Broker, reconciler: Reconciler) -> None:
    survey = await reconciler.survey()
    assert survey.findings == ()
    assert "no embed worker runs" in survey.unseen["index"]


async def test_a_census_of_many_pages_arrives_whole(embed: WorkerApp, index: VectorIndex, broker: Broker) -> None:
    await index.upsert([row("text", document_id=f"d{n}", tenant=TENANT) for n in range(1203)])
    census = await IndexCensus(broker).take()
    assert len(census) == 1203
    assert set(census.values()) == {1}


async def test_a_page_that_is_lost_makes_the_census_worthless(broker: Broker) -> None:
    async def answer(message) -> None:
        await broker.nc.publish(message.reply, CensusPage(page=1, last=True, generations=()).to_bytes())

    await broker.nc.subscribe(subjects.CENSUS, cb=answer)
    await known_to_broker(broker)
    with pytest.raises(CensusUnavailableError, match="page 0 of the census"):
        await IndexCensus(broker).take()


async def test_an_index_that_cannot_be_read_is_said_so(
    broker: Broker, settings: EmbedSettings, table: Topology
) -> None:
    async def fail() -> dict[tuple[str, str, str], int]:
        raise TransientError("the disk is gone")

    office = asyncio.create_task(CensusOffice(broker, fail, service="embed").run())
    try:
        with pytest.raises(CensusUnavailableError, match="the disk is gone"):
            await _answered(IndexCensus(broker))
    finally:
        office.cancel()


async def _answered(census: IndexCensus) -> None:
    """Ask until somebody listens."""
    while True:
        try:
            await census.take()
        except CensusUnavailableError as error:
            if "no embed worker" not in str(error):
                raise
        await asyncio.sleep(0.01)


async def test_the_letters_of_a_deleted_document_go_with_its_rows(
    embed: WorkerApp, stage: Stage, broker: Broker
) -> None:
    generation = await ready(stage, "deleted")
    body = stage.requests[generation][0].to_bytes()
    await put(broker, letter(7, subjects.embed_request(TENANT), body, tenant=TENANT))
    assert (TENANT, "deleted") in await DocumentLetters(Storage(broker)).documents()
    await stage.ledger.delete(TENANT, "deleted")
    await stage.purge("deleted", generation)
    await until(stage.queue_is_empty)
    assert await dead_letters(broker) == []
