"""What names the current index."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.errors import PermanentError
from contracts.settings import IndexKind, IndexSettings
from tests.unit.indexing.rows import EMBEDDER
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.factory import build_site
from workers.indexing.pointer import Pointer, Site, in_use, key_of

KEY = key_of(EMBEDDER.identity)
OTHER = key_of(SimulatedEmbedder(dimension=64).identity)


@pytest.fixture
async def site(tmp_path: Path) -> Site:
    site = build_site(IndexSettings(index_path=tmp_path), IndexKind.LANCEDB)
    await site.open()
    return site


async def made(site: Site, *names: str) -> None:
    for name in names:
        index = site.index(name, EMBEDDER.identity)
        await index.open()
        await index.close()


async def test_what_was_written_last_is_read(site: Site) -> None:
    assert await site.pointer(KEY) == Pointer()
    for pointer in (Pointer(current="a", building="b", source="a", kept=("x", "y")), Pointer(current="b")):
        await site.point(KEY, pointer)
        assert await site.pointer(KEY) == pointer
    assert await site.pointers() == {KEY: Pointer(current="b")}


async def test_a_draft_that_was_cut_off_is_no_pointer(site: Site, tmp_path: Path) -> None:
    (tmp_path / "current" / f"{KEY}.draft").write_text('{"curr', encoding="utf-8")
    assert await site.pointers() == {}


async def test_what_a_newer_release_wrote_is_not_guessed_at(site: Site, tmp_path: Path) -> None:
    (tmp_path / "current" / f"{KEY}.json").write_text('{"colour": "yellow"}', encoding="utf-8")
    with pytest.raises(PermanentError, match="upgrade"):
        await site.pointer(KEY)


async def test_what_nobody_can_have_written_is_not_guessed_at_either(site: Site, tmp_path: Path) -> None:
    for content in (b"", b"\xff\xfe", b"null", b"[]"):
        (tmp_path / "current" / f"{KEY}.json").write_bytes(content)
        with pytest.raises(PermanentError, match="cannot be read"):
            await site.pointer(KEY)


async def test_indexes_are_listed_and_nothing_else_of_the_folder(site: Site, tmp_path: Path) -> None:
    fresh = site.fresh()
    await made(site, "chunks", fresh)
    for other in ("notes.lance", "chunks_old.lance", f"{fresh}.txt"):
        (tmp_path / other).mkdir()
    assert sorted(await site.names()) == ["chunks", fresh]


async def test_of_several_encoders_the_last_that_was_switched_to_is_in_use(site: Site) -> None:
    assert await in_use(site) is None
    await made(site, "chunks", "a", "b")
    assert await in_use(site) == "chunks"
    await site.point(KEY, Pointer(current="a", switched_at=2.0))
    await site.point(OTHER, Pointer(current="b", switched_at=1.0))
    assert await in_use(site) == "a"
    await site.drop("a")
    assert await in_use(site) == "b"


async def test_dropping_what_is_not_there_is_no_error(site: Site) -> None:
    await made(site, "a")
    for _ in range(2):
        await site.drop("a")
    assert await site.recorded("a") is None
