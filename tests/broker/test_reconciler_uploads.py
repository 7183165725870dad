"""Uploads that belong to nothing, on a real broker: found and removed, unless it is the ledger that is missing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from contracts import topology
from contracts.reconciliation import Remedy
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from messaging.broker import Broker
from messaging.storage import Storage
from messaging.upload_inventory import UploadInventory
from messaging.uploads import UploadMissingError
from tests.support.ingest_house import TENANT, House
from tests.support.reconciling import AT_ONCE, done, found, reconciling
from workers.keeper.reconciliation import uploads as looking
from workers.keeper.reconciliation.reconciler import Reconciler

STREAM = "OBJ_uploads"


@pytest.fixture
async def house(broker: Broker, broker_settings: BrokerSettings, table: Topology) -> AsyncIterator[House]:
    house = House(broker, broker_settings, table)
    yield house
    await house.close()


@pytest.fixture
async def reconciler(broker: Broker, table: Topology, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reconciler]:
    monkeypatch.setattr(looking, "READ_ON", AT_ONCE.settled)
    async with reconciling(broker, table=table) as ours:
        yield ours


async def once(data: bytes) -> AsyncIterator[bytes]:
    yield data


async def upload(house: House, document_id: str, generation: str, data: bytes = b"text") -> None:
    await house.uploads.put(TENANT, document_id, generation, "content", once(data), max_bytes=2**30)


async def holds(house: House, document_id: str, generation: str) -> bool:
    try:
        await house.uploads.read_bytes(TENANT, document_id, generation, "content")
    except UploadMissingError:
        return False
    return True


async def test_those_of_documents_at_work_are_left_alone(house: House, reconciler: Reconciler) -> None:
    await house.submit("bees", b"text")
    assert await found(reconciler) == []


async def test_one_without_a_record_is_removed(house: House, reconciler: Reconciler) -> None:
    """What a gateway leaves that dies before it wrote the ledger."""
    generation = await house.submit("bees", b"text")
    await upload(house, "orphan", "g1")
    assert await done(reconciler) == [(Remedy.REMOVE_UPLOAD, "orphan")]
    assert not await holds(house, "orphan", "g1")
    assert await holds(house, "bees", generation)
    assert await found(reconciler) == []


async def test_one_that_was_stored_lately_is_left_alone(house: House, broker: Broker, table: Topology) -> None:
    await house.submit("bees", b"text")
    await upload(house, "orphan", "g1")
    async with reconciling(broker, table=table, rhythm=replace(AT_ONCE, orphaned_s=60)) as patient:
        assert await found(patient) == []


async def test_one_that_its_record_does_not_know_is_purged(
    house: House, broker: Broker, reconciler: Reconciler
) -> None:
    """What a gateway leaves that dies between the upload of a new version and the ledger."""
    await house.submit("bees", b"text")
    await upload(house, "bees", "unknown")
    assert await done(reconciler) == [(Remedy.PURGE, "bees")]
    assert await Storage(broker).count(topology.EMBED.name, "rag.embed.purges.*") == 1


async def test_those_of_superseded_and_deleted_documents_are_purged(
    house: House, broker: Broker, reconciler: Reconciler
) -> None:
    old = await house.submit("replaced", b"old")
    await house.submit("replaced", b"new")
    await upload(house, "replaced", old, b"old")  # its removal was cut off
    gone = await house.submit("deleted", b"text")
    await house.submissions.delete(TENANT, "deleted")
    await upload(house, "deleted", gone)
    assert set(await found(reconciler)) == {(Remedy.PURGE, "replaced"), (Remedy.PURGE, "deleted")}


async def test_what_was_never_finished_is_removed(house: House, broker: Broker, reconciler: Reconciler) -> None:
    generation = await house.submit("bees", b"x" * 400_000)
    for _ in range(3):
        await broker.publish_bytes("$O.uploads.C.HALF", b"half" * 1000, stream=STREAM)
    inventory = UploadInventory(Storage(broker))
    assert (await inventory.take()).unfinished == {"HALF"}
    assert await done(reconciler) == [(Remedy.REMOVE_UPLOAD, None)]
    assert (await inventory.take()).unfinished == set()
    assert await house.uploads.read_bytes(TENANT, "bees", generation, "content") == b"x" * 400_000


async def test_what_others_put_into_the_bucket_is_left_alone(
    house: House, broker: Broker, reconciler: Reconciler
) -> None:
    await house.submit("bees", b"text")
    store = await broker.js.object_store("uploads")
    for name in ("reports.pdf", "a/b/c/x.pdf", "a b/c/d/content"):
        await store.put(name, b"x" * 300_000)
    assert await found(reconciler) == []
    assert (await store.get("reports.pdf")).data == b"x" * 300_000


async def test_an_entry_that_cannot_be_read_protects_all_chunks(
    house: House, broker: Broker, reconciler: Reconciler
) -> None:
    await house.submit("bees", b"text")
    await broker.publish_bytes("$O.uploads.C.ITS", b"chunk", stream=STREAM)
    await broker.publish_bytes("$O.uploads.M.c3RyYW5nZQ==", b"{not an entry", stream=STREAM)
    assert await found(reconciler) == []


@pytest.mark.parametrize("how", ["emptied", "made anew", "another one"])
async def test_a_lost_ledger_never_removes_an_upload(
    house: House, broker: Broker, reconciler: Reconciler, how: str
) -> None:
    generations = [await house.submit(f"d{n}", b"text") for n in range(12)]
    config = (await broker.js.stream_info("KV_documents")).config
    if how == "emptied":
        await broker.js.purge_stream("KV_documents")
    else:
        await broker.js.delete_stream("KV_documents")
        await broker.js.add_stream(replace(config))
        await house.submit("new", b"text")
    if how == "another one":
        for n in range(2, 12):
            await house.ledger.submit(TENANT, f"d{n}", generation="g", name="x", sha256="a" * 64, size_bytes=1)
    survey = await reconciler.survey()
    assert Remedy.HOLD in {finding.remedy for finding in survey.findings}
    assert Remedy.REMOVE_UPLOAD not in {finding.remedy for finding in survey.findings}
    await done(reconciler)
    assert all([await holds(house, f"d{n}", generation) for n, generation in enumerate(generations)][:2])
