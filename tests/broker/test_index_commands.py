"""`waggle index`, as people run it, on a real broker and a real index."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.documents import CHUNKING_VERSION
from contracts.settings import EmbedSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.leases import Leases
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import TENANT, Stage
from tests.support.commands import Command
from tests.support.indexes import opened_index
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.indexing.rows import row
from workers.embed.worker import build
from workers.encoding.base import Passage, PassageEmbedding
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.base import VectorIndex
from workers.indexing.lance_site import LanceSite
from workers.indexing.pointer import Pointer, key_of

EMBEDDER = SimulatedEmbedder()
SEED = 9
KILLS = 4
MANY = 60
"""Documents, so that copying takes long enough to be cut off."""


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(nats_url=nats_server.url, data_dir=tmp_path, index_path=tmp_path / "index", log_level="error")


@pytest.fixture
def command(settings: EmbedSettings) -> Command:
    environment = {
        "WAGGLE_NATS_URL": settings.nats_url,
        "WAGGLE_DATA_DIR": str(settings.data_dir),
        "WAGGLE_ENCODER": "simulated",
    }
    return Command("index", environment=environment)


@pytest.fixture
async def index(settings: EmbedSettings) -> AsyncIterator[VectorIndex]:
    async with opened_index(settings, EMBEDDER) as index:
        yield index


@pytest.fixture
async def stage(broker: Broker, settings: EmbedSettings, table: Topology) -> AsyncIterator[Stage]:
    async with running(build(settings, embedder=lambda: EMBEDDER, table=table)):
        yield Stage(broker=broker, ledger=DocumentLedger(broker))


async def ready(stage: Stage, document_id: str, *chunks: str) -> str:
    generation = await stage.ingest(document_id, *(chunks or ("one", "two", "three")))
    await until(lambda: stage.is_visible(document_id, generation), timeout_s=30)
    return generation


async def test_an_index_that_holds_what_it_should_is_said_to(stage: Stage, command: Command) -> None:
    await ready(stage, "first")
    await ready(stage, "second")
    ran = await command("check")
    assert (ran.code, "visible and whole" in ran.out, "The index holds what it should." in ran.out) == (0, True, True)
    assert "made with simulated, 384 dimensions, precision float32, chunking " in ran.out
    told = (await command("check", "--json")).json
    assert (told["index"], told["amiss"], told["rows"]) == ("lancedb:chunks", 0, 6)
    assert (told["recorded"]["precision"], told["recorded"]["chunking"]) == ("float32", CHUNKING_VERSION)


async def test_everything_that_is_amiss_is_told(stage: Stage, index: VectorIndex, command: Command) -> None:
    await ready(stage, "whole")
    lost = await ready(stage, "lost")
    await index.delete_generation(TENANT, "lost", lost)
    twice = await ready(stage, "twice", "one")
    await index.upsert([_row("too many", "twice", twice, ordinal=9), _row("whose?", "unknown", "g1")])
    over = await ready(stage, "replaced", "old")
    await ready(stage, "replaced", "new")
    ran = await command("check", "--json")
    assert ran.code == 1
    assert {(found["kind"], found["document_id"]) for found in ran.json["offenders"]} == {
        ("missing", "lost"),
        ("surplus", "twice"),
        ("unknown", "unknown"),
    }
    assert ran.json["kinds"]["waiting"] == {"generations": 1, "rows": 1}
    assert await index.count_generation(TENANT, "replaced", over) == 1
    ran = await command("check")
    assert all(said in ran.out for said in ("3 generations amiss", "over, to be purged", "waggle reconcile"))


def _row(text: str, document_id: str, generation: str, *, ordinal: int = 0):
    (embedding,) = EMBEDDER.encode_passages([Passage(text=text)])
    assert isinstance(embedding, PassageEmbedding)
    made = row(text, document_id=document_id, generation=generation, ordinal=ordinal, tenant=TENANT)
    return replace(made, sentences=(), embedding=embedding)


async def test_without_an_index_it_is_said_what_to_do(broker: Broker, command: Command) -> None:
    for arguments in (["check"], ["rebuild"]):
        ran = await command(*arguments)
        assert (ran.code, "there is no index in" in ran.err) == (1, True)


async def test_two_at_once_are_refused(broker: Broker, index: VectorIndex, command: Command) -> None:
    async with Leases(broker, holder="another").held("index"):
        for arguments in (["rebuild"], ["migrate", "lancedb", "weaviate"]):
            ran = await command(*arguments)
            assert (ran.code, "another `waggle index rebuild`" in ran.err) == (1, True)


async def test_a_rebuild_says_what_it_did(
    stage: Stage, index: VectorIndex, command: Command, settings: EmbedSettings
) -> None:
    await ready(stage, "first")
    ran = await command("rebuild", "--keep-old")
    assert ran.code == 0
    assert "replaces chunks: 3 rows copied" in ran.out
    assert "Kept: chunks." in ran.out
    told = (await command("rebuild", "--json")).json
    assert (told["kept"], told["encoded"], told["check"]["amiss"]) == ([], False, 0)
    assert len(list((settings.data_dir / "index").glob("*.lance"))) == 1


async def test_a_rebuild_that_finds_something_amiss_ends_with_1(
    stage: Stage, index: VectorIndex, command: Command
) -> None:
    await index.delete_generation(TENANT, "lost", await ready(stage, "lost"))
    ran = await command("rebuild", "--json")
    assert (ran.code, ran.json["check"]["kinds"]["missing"]["generations"]) == (1, 1)


async def test_a_rebuild_is_given_up_by_the_command(
    index: VectorIndex, broker: Broker, command: Command, settings
) -> None:
    site, key = LanceSite(settings.index_path), key_of(EMBEDDER.identity)
    name = site.fresh()
    await site.point(key, Pointer(current="chunks", building=name, source="chunks"))
    ran = await command("rebuild", "--abandon")
    assert (ran.code, f"Removed: {name}" in ran.out) == (0, True)
    assert await site.pointer(key) == Pointer(current="chunks")
    assert (await command("rebuild", "--abandon", "--json")).json == {"abandoned": []}


async def test_a_rebuild_that_is_killed_anywhere_goes_on_when_it_is_run_again(
    stage: Stage, index: VectorIndex, command: Command, settings: EmbedSettings, broker: Broker
) -> None:
    chance, site, key = random.Random(SEED), LanceSite(settings.index_path), key_of(EMBEDDER.identity)
    await site.open()
    generations = {f"d{n}": await stage.ingest(f"d{n}", *(f"text {n} {i}" for i in range(20))) for n in range(MANY)}
    await until(stage.queue_is_empty, timeout_s=60)

    async def begun() -> bool:
        return (await site.pointer(key)).source is not None

    for kill in range(KILLS):
        process = await command.begin("rebuild")
        await until(begun, timeout_s=60)
        # At first while rows are copied, then later and later: before, in and after the switch.
        await asyncio.sleep(chance.uniform(0, 0.4 if kill < 2 else 5))
        process.kill()
        await process.communicate()
        await broker.js.purge_stream("KV_leases")  # as it ages out within half a minute
        generations[f"late{kill}"] = await ready(stage, f"late{kill}")
        for document_id, generation in generations.items():
            assert await index.count_generation(TENANT, document_id, generation) > 0
    ran = await command("rebuild", "--json")
    assert (ran.code, ran.json["check"]["amiss"]) == (0, 0), ran.err
    assert ran.json["check"]["kinds"]["whole"]["generations"] == len(generations)
    last = await site.pointer(key)
    assert last == Pointer(current=ran.json["index"], switched_at=last.switched_at)
    assert [folder.stem for folder in settings.index_path.glob("*.lance")] == [last.current]
