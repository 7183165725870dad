"""The index is made anew while workers ingest, replace and delete and people search; real broker, workers and index."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from contracts.errors import PermanentError, TransientError
from contracts.queries import Condition, Filters
from contracts.settings import EmbedSettings, IndexKind
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from tests.broker.embedding_stage import TENANT, Stage
from tests.broker.test_swaps import DOCUMENTS, SEARCHERS, Seen, _no_vector, look, rewrite, texts
from tests.support.indexes import opened_index
from tests.support.rebuilding import rebuild
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.indexing.rows import EMBEDDER, row
from workers.embed.worker import build
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing import lance
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_site
from workers.indexing.pointer import Pointer, in_use, key_of
from workers.reindexing.abandoning import abandon
from workers.reindexing.checking import Kind, check
from workers.reindexing.copying import Copied, Copier
from workers.reindexing.progress import Step
from workers.retrieve.searcher import Searcher

SEED = 14
KEPT_S = 5.0
"""How long rows of superseded generations stay: longer than any search here takes."""
PASSING = 30
"""Documents that come and go meanwhile."""
OTHER = SimulatedEmbedder(dimension=64)
KEY = key_of(EMBEDDER.identity)


@pytest.fixture
def settings(nats_server: NatsServer, tmp_path: Path) -> EmbedSettings:
    return EmbedSettings(nats_url=nats_server.url, index_path=tmp_path / "index", data_dir=tmp_path, log_level="error")


@pytest.fixture
async def index(settings: EmbedSettings) -> AsyncIterator[VectorIndex]:
    """The index as another process sees it."""
    async with opened_index(settings, EMBEDDER) as index:
        yield index


@pytest.fixture
def stage(broker: Broker) -> Stage:
    return Stage(broker=broker, ledger=DocumentLedger(broker), batch_size=1)


def worker(settings: EmbedSettings, table: Topology, number: int = 1, embedder: SimulatedEmbedder = EMBEDDER):
    ours = settings.model_copy(update={"instance": f"embed-{number}"})
    return running(build(ours, embedder=lambda: embedder, kept_s=KEPT_S, table=table))


async def ready(stage: Stage, document_id: str, *chunks: str) -> str:
    generation = await stage.ingest(document_id, *(chunks or ("one text", "two text")))
    await until(lambda: stage.is_visible(document_id, generation), timeout_s=30)
    return generation


async def come_and_go(stage: Stage, chance: random.Random) -> list[tuple[str, str]]:
    """Documents that are deleted as soon as they are there, or before; returns them with their generations."""
    gone = []
    for number in range(PASSING):
        document_id = f"passing{number}"
        generation = await stage.ingest(document_id, *texts(document_id, 0, chance))
        if chance.random() < 0.7:
            await until(lambda d=document_id, g=generation: stage.is_visible(d, g), timeout_s=30)  # type: ignore[misc]
        await stage.ledger.delete(TENANT, document_id)
        await stage.purge(document_id, generation)
        gone.append((document_id, generation))
    return gone


async def rebuild_until(done: asyncio.Event, broker: Broker, settings: EmbedSettings) -> int:
    """Rebuild again and again; returns how often."""
    times = 0
    while not done.is_set() or times < 3:
        await rebuild(broker, settings, EMBEDDER, kept_s=KEPT_S)
        times += 1
    return times


async def test_nothing_is_lost_doubled_or_a_ghost_and_nobody_sees_less_while_the_index_is_rebuilt(
    stage: Stage, broker: Broker, index: VectorIndex, settings: EmbedSettings, table: Topology
) -> None:
    chance, seen, done = random.Random(SEED), Seen(), asyncio.Event()
    search = Searcher(_no_vector, index, DocumentLedger(broker), scripts=frozenset({"latin"}))
    async with worker(settings, table, 1), worker(settings, table, 2):
        for document_id in DOCUMENTS:
            await ready(stage, document_id, *texts(document_id, 999, chance))
        looking = [asyncio.create_task(look(search, stage, seen)) for _ in range(SEARCHERS)]
        rebuilding = asyncio.create_task(rebuild_until(done, broker, settings))
        try:
            gone, *lasts = await asyncio.gather(
                come_and_go(stage, chance),
                *(rewrite(stage, document_id, random.Random(f"{SEED} {document_id}")) for document_id in DOCUMENTS),
            )
            for document_id, last in zip(DOCUMENTS, lasts, strict=True):
                await until(lambda d=document_id, g=last: stage.is_visible(d, g), timeout_s=60)  # type: ignore[misc]
            done.set()
            times = await rebuilding
        finally:
            for task in (*looking, rebuilding):
                task.cancel()
            outcomes = await asyncio.gather(*looking, return_exceptions=True)
        assert [o for o in outcomes if not isinstance(o, asyncio.CancelledError)] == []
        await until(stage.queue_is_empty, timeout_s=60)
    assert seen.wrong == []
    assert seen.searches > 20 * seen.refused
    assert times >= 3
    checked = await check(broker, index)
    assert checked.offenders == []
    assert checked.generations[Kind.WHOLE] == len(DOCUMENTS)
    assert [key for key in await index.census() if (key[1], key[2]) in gone] == []
    assert len(list(settings.index_path.glob("*.lance"))) == 1


async def test_without_writing_to_the_index_that_is_built_a_write_is_lost(
    stage: Stage, broker: Broker, index: VectorIndex, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The safeguard bites: rows that come after the copy and before the switch."""

    async def write_between() -> int:
        await index.upsert([row("before", document_id="before")])
        copy = Copier.copy

        async def copy_then_write(self: Copier, **options):
            copied = await copy(self, **options)
            if not options.get("thorough"):
                await index.upsert([row("between", document_id="between")])
            return replace(copied, rows=0)

        with monkeypatch.context() as patched:
            patched.setattr(Copier, "copy", copy_then_write)
            patched.setattr("workers.reindexing.rebuilding.Rebuild._catch_up", _no_catching_up)
            await rebuild(broker, settings, EMBEDDER)
        return await index.count_generation(TENANT, "between", "g1")

    assert await write_between() == 1
    with monkeypatch.context() as patched:
        patched.setattr(Pointer, "written", property(lambda self: (self.current,)))
        await index.delete_generation(TENANT, "between", "g1")
        assert await write_between() == 0


async def _no_catching_up(*_: object, **__: object):
    return Copied()


async def test_a_write_that_began_before_a_switch_is_in_the_new_index_when_it_returns(
    settings: EmbedSettings, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it took: a worker that was stopped in between has heard nothing of the switch."""
    site, began, go_on = build_site(settings, IndexKind.LANCEDB), asyncio.Event(), asyncio.Event()
    await site.open()
    upsert = lance.LanceIndex.upsert

    async def slow(self: lance.LanceIndex, rows) -> None:
        await upsert(self, rows)
        began.set()
        await go_on.wait()

    monkeypatch.setattr(lance.LanceIndex, "upsert", slow)
    writing = asyncio.create_task(index.upsert([row("some words")]))
    await began.wait()
    await site.point(KEY, Pointer(current="chunks_new", source="chunks"))
    go_on.set()
    await writing
    assert await index.count_generation(TENANT, "d", "g1") == 1
    new = site.index("chunks_new", EMBEDDER.identity)
    await new.open()
    assert await new.count_generation(TENANT, "d", "g1") == 1
    await new.close()


async def test_what_was_purged_between_reading_and_writing_leaves_no_ghost(
    stage: Stage, broker: Broker, index: VectorIndex, settings: EmbedSettings, table: Topology
) -> None:
    async with worker(settings, table):
        generation = await ready(stage, "deleted")
    site = build_site(settings, IndexKind.LANCEDB)
    target = site.index("chunks_new", EMBEDDER.identity)
    await target.open()

    async def delete_meanwhile(rows):
        await stage.ledger.delete(TENANT, "deleted")
        await index.delete_generation(TENANT, "deleted", generation)
        return list(rows)

    copied = await Copier(broker, index, target, encode=delete_meanwhile).copy()
    assert copied.rows == 2
    assert await target.census() == {}
    await target.close()


async def test_workers_and_searchers_move_to_the_new_index_and_the_old_one_goes(
    stage: Stage, broker: Broker, index: VectorIndex, settings: EmbedSettings, table: Topology
) -> None:
    async with worker(settings, table):
        generation = await ready(stage, "d")
        rebuilt = await rebuild(broker, settings, EMBEDDER)
        assert (rebuilt.replaced, rebuilt.copied.rows, rebuilt.encoded) == ("chunks", 2, False)
        assert [folder.name for folder in settings.index_path.glob("*.lance")] == [f"{rebuilt.name}.lance"]
        assert await index.count_generation(TENANT, "d", generation) == 2
        await ready(stage, "later")
        assert (await check(broker, index)).generations[Kind.WHOLE] == 2


async def test_an_old_index_may_be_kept_and_goes_with_the_next_rebuild(
    broker: Broker, index: VectorIndex, settings: EmbedSettings
) -> None:
    await index.upsert([row("some words")])
    first = await rebuild(broker, settings, EMBEDDER, keep_old=True)
    assert first.kept == ("chunks",)
    second = await rebuild(broker, settings, EMBEDDER)
    assert (second.replaced, second.kept) == (first.name, ())
    assert [folder.name for folder in settings.index_path.glob("*.lance")] == [f"{second.name}.lance"]
    assert await index.count_generation(TENANT, "d", "g1") == 1


async def test_rows_without_a_record_are_kept(broker: Broker, index: VectorIndex, settings: EmbedSettings) -> None:
    """An empty ledger must never empty the index."""
    await index.upsert([row("whose?", ordinal=n) for n in range(3)])
    rebuilt = await rebuild(broker, settings, EMBEDDER)
    assert rebuilt.checked.rows[Kind.UNKNOWN] == 3


async def test_another_encoder_gets_an_index_of_its_own_when_the_old_workers_have_ended(
    stage: Stage, broker: Broker, settings: EmbedSettings, table: Topology
) -> None:
    steps = list[Step]()

    def waits_for(service: str) -> bool:
        return any(step.what.startswith(f"waiting for {service}") for step in steps)

    async with worker(settings, table):
        await ready(stage, "first")
        rebuilding = asyncio.create_task(
            rebuild(broker, settings, OTHER, heard_after_s=4.0, kept_s=KEPT_S, advance=steps.append)
        )
        await until(lambda: waits_for("embed embed-1"), timeout_s=30)
        await ready(stage, "second")  # by the old worker, into the old index
    rebuilt = await rebuilding
    assert rebuilt.encoded
    assert rebuilt.checked.offenders == []
    assert rebuilt.checked.generations[Kind.WHOLE] == 2
    async with opened_index(settings, OTHER) as new:
        vector = OTHER.encode_questions(["one text"])[0]
        found = await new.search(TENANT, text=None, vector=vector, limit=1, filters=Filters())
        assert found[0].similarity == pytest.approx(1, abs=1e-5)
    with pytest.raises(PermanentError, match="waggle index rebuild"):
        async with opened_index(settings, EMBEDDER):
            pass


async def test_a_worker_of_another_encoder_may_not_start_before_its_index_is_there(
    settings: EmbedSettings, index: VectorIndex, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index.upsert([row("some words")])
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "copy", _cut_off)
        with pytest.raises(TransientError, match="cut off"):
            await rebuild(broker, settings, OTHER)
    with pytest.raises(PermanentError, match="is being built"):
        async with opened_index(settings, OTHER):
            pass
    assert await index.count_generation(TENANT, "d", "g1") == 1
    assert (await rebuild(broker, settings, OTHER)).continued
    async with opened_index(settings, OTHER) as new:
        assert await new.count_generation(TENANT, "d", "g1") == 1


async def test_the_kept_index_of_an_earlier_encoder_is_not_used_again(broker: Broker, settings: EmbedSettings) -> None:
    async with opened_index(settings, EMBEDDER) as index:
        await index.upsert([row("some words")])
    await rebuild(broker, settings, OTHER, keep_old=True)
    with pytest.raises(PermanentError, match=r"was replaced.*WAGGLE_ENCODER_MODEL.*waggle index rebuild"):
        async with opened_index(settings, EMBEDDER):
            pass
    back = await rebuild(broker, settings, EMBEDDER)
    assert back.encoded
    async with opened_index(settings, EMBEDDER) as index:
        assert await index.count_generation(TENANT, "d", "g1") == 1
    assert [folder.stem for folder in settings.index_path.glob("*.lance")] == [back.name]


async def interrupted_for_another_encoder(
    broker: Broker, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index of one row, and a rebuild of it for `OTHER` that was cut off before its first row."""
    async with opened_index(settings, EMBEDDER) as index:
        await index.upsert([row("some words")])
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "copy", _cut_off)
        with pytest.raises(TransientError, match="cut off"):
            await rebuild(broker, settings, OTHER)


async def test_an_attempt_whose_source_was_replaced_meanwhile_is_begun_anew(
    broker: Broker, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await interrupted_for_another_encoder(broker, settings, monkeypatch)
    await rebuild(broker, settings, EMBEDDER)
    rebuilt = await rebuild(broker, settings, OTHER)
    assert rebuilt.encoded
    async with opened_index(settings, OTHER) as index:
        assert await index.count_generation(TENANT, "d", "g1") == 1
    assert [folder.stem for folder in settings.index_path.glob("*.lance")] == [rebuilt.name]


async def test_an_attempt_is_begun_anew_when_its_source_was_replaced_meanwhile_and_kept(
    broker: Broker, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kept one is still there, but lacks what came since."""
    await interrupted_for_another_encoder(broker, settings, monkeypatch)
    between = await rebuild(broker, settings, EMBEDDER, keep_old=True)
    async with opened_index(settings, EMBEDDER) as index:
        await index.upsert([row("written since", document_id="since")])
    rebuilt = await rebuild(broker, settings, OTHER)
    assert rebuilt.replaced == between.name
    async with opened_index(settings, OTHER) as index:
        assert await index.count_generation(TENANT, "since", "g1") == 1


async def test_the_last_switch_counts_whatever_the_clocks_of_the_hosts_said(
    broker: Broker, settings: EmbedSettings
) -> None:
    async with opened_index(settings, EMBEDDER) as index:
        await index.upsert([row("some words")])
    await rebuild(broker, settings, EMBEDDER)
    site = build_site(settings, IndexKind.LANCEDB)
    ahead = replace(await site.pointer(KEY), switched_at=4e9)
    await site.point(KEY, ahead)
    rebuilt = await rebuild(broker, settings, OTHER, keep_old=True)
    assert await in_use(site) == rebuilt.name


async def test_a_generation_of_which_fewer_rows_were_read_than_there_are_is_copied_again_once(
    broker: Broker, index: VectorIndex, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await index.upsert([row(f"text {n}", ordinal=n) for n in range(5)])
    site = build_site(settings, IndexKind.LANCEDB)
    target = site.index("chunks_new", EMBEDDER.identity)
    await target.open()
    whole = lance.LanceIndex.rows
    reads = list[int]()

    async def short(self: lance.LanceIndex, *key: str):
        reads.append(1)
        async for each in whole(self, *key):
            if each.ordinal < (3 if len(reads) < 2 else 5):
                yield each

    monkeypatch.setattr(lance.LanceIndex, "rows", short)
    copier = Copier(broker, index, target)
    assert [(await copier.copy()).rows for _ in range(3)] == [3, 5, 0]
    assert await target.count_generation(TENANT, "d", "g1") == 5
    await index.upsert([row("text 5", ordinal=5)])
    reads.clear()
    monkeypatch.setattr(lance.LanceIndex, "rows", _nothing_of)
    assert [(await copier.copy()).rows for _ in range(3)] == [0, 0, 0]
    await target.close()


async def _nothing_of(*_: object):
    return
    yield


async def test_a_rebuild_that_was_cut_off_may_be_given_up(
    broker: Broker, settings: EmbedSettings, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then everything is written once again, also by who has the abandoned index open, and nothing of it is left."""
    site = build_site(settings, IndexKind.LANCEDB)
    await site.open()
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "copy", _cut_off)
        for encoder in (EMBEDDER, OTHER):
            await index.upsert([row("some words")])
            with pytest.raises(TransientError, match="cut off"):
                await rebuild(broker, settings, encoder)
            await index.upsert([row("more words", ordinal=1)])
            assert len(await site.names()) == 2
            (name,) = await abandon(site)
            assert await site.names() == ["chunks"]
            await index.upsert([row("last words", ordinal=2)])
            assert await index.count_generation(TENANT, "d", "g1") == 3
            assert name not in {each for pointer in (await site.pointers()).values() for each in pointer.kept}
    assert await abandon(site) == []
    assert (await rebuild(broker, settings, EMBEDDER)).replaced == "chunks"


async def test_giving_up_that_is_cut_off_leaves_what_the_next_rebuild_removes(
    broker: Broker, settings: EmbedSettings, index: VectorIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = build_site(settings, IndexKind.LANCEDB)
    await site.open()
    await index.upsert([row("some words")])
    with monkeypatch.context() as patched:
        patched.setattr(Copier, "copy", _cut_off)
        with pytest.raises(TransientError, match="cut off"):
            await rebuild(broker, settings, EMBEDDER)
    with monkeypatch.context() as patched:
        patched.setattr(type(site), "drop", _cut_off)
        with pytest.raises(TransientError, match="cut off"):
            await abandon(site)
    assert len(await site.names()) == 2
    rebuilt = await rebuild(broker, settings, EMBEDDER)
    assert not rebuilt.continued
    assert await site.names() == [rebuilt.name]


async def _cut_off(*_: object, **__: object):
    raise TransientError("cut off")


async def test_an_index_of_format_1_is_rebuilt_and_found_by_filters(
    broker: Broker, settings: EmbedSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr(lance, "FORMAT", "1")
        before.setattr(lance, "_INDICES", {name: kind for name, kind in lance._INDICES.items() if name != "tags"})
        schema = lance.LanceIndex._schema
        before.setattr(lance.LanceIndex, "_schema", lambda self: _without_tags(schema(self)))
        old = lance.LanceIndex(settings.index_path, EMBEDDER.identity)
        await old.open()
        await old.upsert(
            [replace(row(f"words of {year}", ordinal=year), metadata={"year": f"{year}"}) for year in (19, 24)]
        )
        await old.close()
    with pytest.raises(PermanentError, match="waggle index rebuild"):
        async with opened_index(settings, EMBEDDER):
            pass
    await rebuild(broker, settings, EMBEDDER)
    async with opened_index(settings, EMBEDDER) as index:
        for condition in (Condition(any_of=("24",)), Condition(gte=20)):
            filters = Filters(metadata={"year": condition})
            found = await index.search(TENANT, text="words", vector=None, limit=5, filters=filters)
            assert [each.text for each in found] == ["words of 24"]


def _without_tags(schema):
    return schema.remove(schema.get_field_index("tags"))


async def test_rows_that_are_there_twice_are_there_once_afterwards(
    broker: Broker, stage: Stage, index: VectorIndex, settings: EmbedSettings, table: Topology
) -> None:
    async with worker(settings, table):
        generation = await ready(stage, "known")
    await index.upsert([row("whose?", document_id="unknown")])
    doubled = lance.LanceIndex(settings.index_path, EMBEDDER.identity)
    await doubled.open()
    await doubled._opened.add(await doubled._opened.query().to_arrow())
    await doubled.close()
    assert (await check(broker, index)).generations[Kind.SURPLUS] == 1
    rebuilt = await rebuild(broker, settings, EMBEDDER)
    assert await index.census() == {(TENANT, "known", generation): 2, (TENANT, "unknown", "g1"): 1}
    assert rebuilt.checked.generations[Kind.SURPLUS] == 0


async def test_an_empty_place_has_nothing_to_rebuild(broker: Broker, settings: EmbedSettings) -> None:
    with pytest.raises(PermanentError, match="there is no index"):
        await rebuild(broker, settings, EMBEDDER)
    assert await in_use(build_site(settings, IndexKind.LANCEDB)) is None
