"""The embedded index, on real files."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from contracts.settings import IndexSettings
from tests.unit.indexing.rows import DIMENSION, EMBEDDER, TENANT, question, row
from tests.unit.indexing.vector_index_contract import OpenIndex, VectorIndexContract
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.factory import build_index
from workers.indexing.lance import VECTORS_WORTH_AN_INDEX, LanceIndex
from workers.indexing.lance_locks import locked, try_lock

ROUNDS = 12
CHUNKS = 8


@pytest.fixture
async def open_index(tmp_path: Path) -> AsyncIterator[OpenIndex]:
    opened: list[VectorIndex] = []

    async def open_index(identity: EncoderIdentity) -> VectorIndex:
        index = build_index(IndexSettings(index_path=tmp_path / "index"), identity)
        opened.append(index)
        await index.open()
        return index

    yield open_index
    for index in opened:
        await index.close()


class TestLanceIndex(VectorIndexContract):
    """All of the contract."""


async def test_processes_that_start_at_once_agree_on_one_index(tmp_path: Path) -> None:
    indexes = [LanceIndex(tmp_path / "index", EMBEDDER.identity) for _ in range(4)]
    await asyncio.gather(*(index.open() for index in indexes))
    await indexes[0].upsert([row("some words")])
    assert [await index.count_generation(TENANT, "d", "g1") for index in indexes] == [1] * 4
    for index in indexes:
        await index.close()


async def test_an_index_whose_creation_was_cut_short_is_completed(tmp_path: Path) -> None:
    class Interrupted(LanceIndex):
        async def _create_indices(self) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await Interrupted(tmp_path / "index", EMBEDDER.identity).open()
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    await index.upsert([row("some words")])
    found = await index.search(TENANT, text="words", vector=None, limit=1, filters=_everything())
    assert len(found) == 1
    await index.close()


async def test_an_index_that_cannot_be_read_is_tried_again_later(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    await index.upsert([row("some words")])
    for file in (tmp_path / "index").rglob("*.lance"):
        if file.is_file():
            file.unlink()
    with pytest.raises(TransientError, match="index"):
        await index.search(TENANT, text="words", vector=None, limit=1, filters=_everything())
    await index.close()


async def test_a_folder_that_cannot_be_used_is_said_with_its_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        for index in (
            LanceIndex(path, EMBEDDER.identity),
            build_index(IndexSettings(index_path=path), EMBEDDER.identity),
        ):
            with pytest.raises(TransientError, match="WAGGLE_INDEX_PATH"):
                await index.open()


async def test_an_index_whose_files_cannot_be_locked_is_tried_again_later(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    (tmp_path / "index" / "optimize.lock").unlink(missing_ok=True)
    (tmp_path / "index" / "optimize.lock").mkdir()
    with pytest.raises(TransientError, match="WAGGLE_INDEX_PATH"):
        await index.optimize()
    await index.close()


async def test_a_suspended_process_that_holds_the_index_is_waited_for_and_then_told(tmp_path: Path) -> None:
    file = tmp_path / "open.lock"
    with try_lock(file) as ours:
        assert ours
        with pytest.raises(TransientError, match=r"fuser .*open\.lock"):
            async with locked(file, patience_s=0.1):
                pytest.fail("it is held by another")
        waiting = asyncio.create_task(_entered(file))
        await asyncio.sleep(0)
        assert not waiting.done()
    assert await waiting


async def _entered(file: Path) -> bool:
    async with locked(file, patience_s=30):
        return True


async def test_an_index_of_an_older_format_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as before:
        before.setattr("workers.indexing.lance.FORMAT", "1")
        index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
        await index.open()
        await index.close()
    with pytest.raises(PermanentError, match=r"format '1'.*waggle index rebuild.*WAGGLE_INDEX_PATH"):
        await LanceIndex(tmp_path / "index", EMBEDDER.identity).open()


@pytest.mark.parametrize(("renewed_after_s", "stay_open"), [(0.0, False), (math.inf, True)])
async def test_files_of_earlier_states_are_closed_when_the_table_is_opened_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, renewed_after_s: float, stay_open: bool
) -> None:
    monkeypatch.setattr("workers.indexing.lance.RENEWED_AFTER_S", renewed_after_s)
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    for n in range(ROUNDS):
        await index.upsert([row(f"some words {n} {i}", document_id=f"d{n}", ordinal=i) for i in range(100)])
        await index.optimize()
        assert await index.search(TENANT, text="words", vector=None, limit=1, filters=_everything())
    ours = [file for file in psutil.Process().open_files() if file.path.startswith(str(tmp_path))]
    assert (len(ours) >= ROUNDS // 2) is stay_open
    await index.close()


async def test_an_index_that_cannot_be_opened_anew_is_used_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    await index.upsert([row("some words")])

    async def refused() -> None:
        raise OSError("too many open files")

    monkeypatch.setattr("workers.indexing.lance.RENEWED_AFTER_S", 0.0)
    monkeypatch.setattr(index, "_connect", refused)
    assert await index.search(TENANT, text="words", vector=None, limit=1, filters=_everything())
    await index.close()


async def test_a_large_index_stays_exact_and_fresh(tmp_path: Path) -> None:
    index = LanceIndex(tmp_path / "index", EMBEDDER.identity)
    await index.open()
    rows = [row(f"text {i}", document_id=f"d{i % 7}", ordinal=i) for i in range(VECTORS_WORTH_AN_INDEX + 200)]
    await index.upsert(rows)
    await index.upsert([row(f"text {i}", tenant="other", ordinal=i) for i in range(200)])
    await index.optimize()
    assert "vector" in await index._indexed_columns()
    fresh = row("text fresh", document_id="d8")
    await index.upsert([fresh])
    await index.delete_generation(TENANT, "d3", "g1")
    left = [r for r in [*rows, fresh] if r.document_id != "d3"]
    for text in ("text 17", "text fresh", "something else", "another question"):
        asked = question(text)
        found = await index.search(TENANT, text=None, vector=asked, limit=5, filters=_everything())
        nearest = sorted(left, key=lambda r: -float(r.embedding.vector @ asked))[:5]
        assert [c.chunk_id for c in found] == [r.chunk_id for r in nearest]
    few = Filters(document_ids=("d8",))
    assert len(await index.search(TENANT, text=None, vector=question("text 1"), limit=5, filters=few)) == 1
    await index.close()


async def test_writers_of_several_processes_leave_every_chunk_once(tmp_path: Path) -> None:
    duplicates = await _race(tmp_path / "index", LanceIndex)
    assert duplicates == 0


async def test_without_the_primary_key_racing_writers_leave_duplicates(tmp_path: Path) -> None:
    """The safeguard is needed: the same race over a table whose schema does not name the key."""
    for attempt in range(10):
        if await _race(tmp_path / f"index-{attempt}", Keyless):
            return
    raise AssertionError("ten races without the primary key left no duplicate: is it still needed?")


class Keyless(LanceIndex):
    """Leaves out what makes racing upserts of one chunk conflict."""

    def _schema(self) -> pa.Schema:
        schema = super()._schema()
        return schema.set(0, schema.field(0).remove_metadata())


def _write(path: Path, kind: type[LanceIndex], together: Barrier) -> None:
    async def write() -> None:
        index = kind(path, EMBEDDER.identity)
        await index.open()
        for number in range(ROUNDS):
            together.wait(60)
            await index.upsert([row(f"text {i}", document_id=f"d{number}", ordinal=i) for i in range(CHUNKS)])
        await index.close()

    asyncio.run(write())


async def _race(path: Path, kind: type[LanceIndex]) -> int:
    """Three processes write the same chunks; how many rows are there more than once?"""
    index = kind(path, EMBEDDER.identity)
    await index.open()
    context = multiprocessing.get_context("spawn")
    together = context.Barrier(3)
    writers = [context.Process(target=_write, args=(path, kind, together)) for _ in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        await asyncio.to_thread(writer.join, 60)
        assert writer.exitcode == 0
    rows = (await index._opened.to_arrow()).column("chunk_id").to_pylist()
    await index.close()
    assert len(set(rows)) == ROUNDS * CHUNKS
    return sum(count - 1 for count in Counter(rows).values())


def _everything() -> Filters:
    return Filters()


@pytest.mark.parametrize(("model", "used"), [("multilingual-e5-small", "passage: "), ("some-model", "")])
async def test_an_index_that_recorded_no_prompt_yet_is_used_with_the_prompt_of_that_time(
    tmp_path: Path, model: str, used: str
) -> None:
    class Earlier(LanceIndex):
        def _recorded_identity(self) -> dict[str, str]:
            known = super()._recorded_identity()
            return {name: value for name, value in known.items() if name != "passage_prompt"}

        def _check_identity(self, metadata: dict[bytes, bytes]) -> None:
            assert b"passage_prompt" not in metadata

    identity = EncoderIdentity(model=model, dimension=DIMENSION, passage_prompt=used)
    earlier = Earlier(tmp_path / "index", identity)
    await earlier.open()
    await earlier.upsert([row("written before")])
    await earlier.close()
    index = LanceIndex(tmp_path / "index", identity)
    await index.open()
    await index.upsert([row("written since", ordinal=1)])
    assert await index.count_generation(TENANT, "d", "g1") == 2
    await index.close()
    for other in ("title: none | text: ", "" if used else "passage: "):
        with pytest.raises(PermanentError, match="WAGGLE_ENCODER_PASSAGE_PROMPT"):
            await LanceIndex(tmp_path / "index", replace(identity, passage_prompt=other)).open()
