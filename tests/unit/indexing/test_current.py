"""The index that follows the pointer: what is found whatever moment a switch comes at, and what is closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest

from contracts.errors import PermanentError, TransientError
from contracts.queries import Filters
from tests.unit.indexing.rows import EMBEDDER, TENANT
from workers.encoding.base import EncoderIdentity
from workers.indexing.base import VectorIndex
from workers.indexing.current import CurrentIndex
from workers.indexing.identity import recorded
from workers.indexing.pointer import Pointer, key_of, moment_of_switch, was_replaced

OLD, NEW = "Chunks", "Chunks_01JDZ0000000000000000000AA"
KEY = key_of(EMBEDDER.identity)
OTHER = "another encoder"
TURNS = 5
"""Of the event loop; enough for every order of what is going on at once."""


async def turns(number: int) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


@dataclass
class Index:
    """An index of document ids, whose calls take some turns of the event loop."""

    site: Site
    name: str
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    opened: int = 0
    closed: int = 0

    async def open(self) -> None:
        await self.site.before_opening()
        self.site.holds.setdefault(self.name, set())
        self.opened += 1

    async def upsert(self, rows: list[str]) -> None:
        self._there().update(rows)

    async def search(self, tenant: str, **options: Any) -> list[str]:
        await turns(self.site.search_turns)
        return sorted(self._there())

    async def close(self) -> None:
        self.closed += 1
        if self.site.closes_slowly:
            await self.closing.wait()

    def _there(self) -> set[str]:
        if self.name not in self.site.holds:
            raise TransientError(f"{self.name} is not there")
        return self.site.holds[self.name]


async def nothing() -> None:
    """Happens meanwhile."""


@dataclass
class Site:
    """A place in memory. `holds` are the documents of each index; `reads` counts how often the pointer was read."""

    default: str = OLD
    where: str = "memory"
    pointers_in: str = "the pointers"
    holds: dict[str, set[str]] = field(default_factory=dict)
    all_pointers: dict[str, Pointer] = field(default_factory=dict)
    pointer_turns: int = 0
    search_turns: int = 0
    closes_slowly: bool = False
    reads: int = 0
    indexes: list[Index] = field(default_factory=list)
    before_opening: Callable[[], Awaitable[None]] = nothing

    async def open(self) -> None: ...

    async def close(self) -> None: ...

    async def pointer(self, key: str) -> Pointer:
        """As over a network: what it was somewhere between asking and answer."""
        self.reads += 1
        await turns(self.pointer_turns)
        found = self.all_pointers.get(key, Pointer())
        await turns(1)
        return found

    async def pointers(self) -> dict[str, Pointer]:
        return dict(self.all_pointers)

    async def point(self, key: str, pointer: Pointer) -> None:
        self.all_pointers[key] = pointer

    async def names(self) -> list[str]:
        return list(self.holds)

    async def recorded(self, name: str) -> Mapping[str, str] | None:
        return recorded(EMBEDDER.identity, format_="1") if name in self.holds else None

    def index(self, name: str, identity: EncoderIdentity, *, any_format: bool = False) -> VectorIndex:
        self.indexes.append(Index(self, name))
        return self.indexes[-1]  # type: ignore[return-value]  # of a VectorIndex what is needed here

    def fresh(self) -> str:
        return NEW

    async def drop(self, name: str) -> None:
        self.holds.pop(name, None)

    def switch(self) -> None:
        self.all_pointers[KEY] = Pointer(current=NEW, source=OLD)


async def opened(site: Site) -> CurrentIndex:
    index = CurrentIndex(site, EMBEDDER.identity)
    await index.open()
    return index


async def search(index: CurrentIndex) -> list[str]:
    found: list[Any] = await index.search(TENANT, text="x", vector=None, limit=9, filters=Filters())
    return found


async def go_through_a_switch(begin: int, switch: int, drop: int, pointer_turns: int, search_turns: int) -> bool:
    """Whether a search that begins at one turn finds what was there, with a switch, a write and a removal at others."""
    site = Site(holds={OLD: {"a"}, NEW: {"a"}}, pointer_turns=pointer_turns, search_turns=search_turns)
    site.all_pointers[KEY] = Pointer(current=OLD, building=NEW)
    index = await opened(site)
    known = {"a"}
    searching: asyncio.Task[list[str]] | None = None
    expected: set[str] = set()
    for turn in range(3 * TURNS):
        if turn == switch:
            site.switch()
            site.holds[NEW].add("b")  # written by somebody who has followed already
            known.add("b")
        if turn == switch + drop:
            await site.drop(OLD)
        if turn == begin:
            expected = set(known)
            searching = asyncio.create_task(search(index))
        await turns(1)
    assert searching is not None
    found = set(await searching)
    await index.close()
    return expected <= found


async def test_a_search_finds_all_that_was_there_when_it_began_whenever_a_switch_comes() -> None:
    some = range(0, TURNS, 2)
    every = product(range(2 * TURNS), range(2 * TURNS), (1, 2), some, some)
    missed = [moments for moments in every if not await go_through_a_switch(*moments)]
    assert missed == []


async def test_without_heeding_the_pointer_that_is_read_beside_some_would_be_missed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def heedless(self: CurrentIndex, call: Callable[[VectorIndex], Awaitable[Any]]) -> Any:
        name = self._current
        await self._pointer()
        return await self._ask(name, call)

    monkeypatch.setattr(CurrentIndex, "_read_beside", heedless)
    assert not await go_through_a_switch(TURNS, 0, 3 * TURNS, 2, 2)


async def test_a_search_does_not_wait_for_the_pointer_to_begin() -> None:
    site = Site(holds={OLD: {"a"}}, search_turns=TURNS)
    index = await opened(site)
    begun = asyncio.Event()
    ask = Index.search

    async def noted(self: Index, tenant: str, **options: Any) -> list[str]:
        begun.set()
        return await ask(self, tenant, **options)

    async def when_begun(key: str) -> Pointer:
        await asyncio.wait_for(begun.wait(), 60)
        return Pointer()

    site.pointer = when_begun  # type: ignore[method-assign]  # the pointer comes when the index has been asked
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Index, "search", noted)
        assert await search(index) == ["a"]
    await index.close()


async def test_a_search_fails_when_the_pointer_cannot_be_read() -> None:
    """It may name another index, and the old one may hold less."""
    site = Site(holds={OLD: {"a"}})
    index = await opened(site)

    async def away(key: str) -> Pointer:
        raise TransientError("away")

    site.pointer = away  # type: ignore[method-assign]
    with pytest.raises(TransientError, match="away"):
        await search(index)
    await index.close()


async def test_a_search_that_is_cancelled_leaves_nothing_running() -> None:
    site = Site(holds={OLD: {"a"}}, search_turns=10**6)
    index = await opened(site)
    searching = asyncio.create_task(search(index))
    await turns(TURNS)
    before = asyncio.all_tasks()
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    assert not any(task for task in before if task is not asyncio.current_task() and not task.done())
    await index.close()


async def test_indexes_that_nobody_uses_any_more_are_closed_once_each() -> None:
    """Also when several are let go of at once by several calls, and closing takes long."""
    site = Site(holds={OLD: set(), NEW: set()}, closes_slowly=True)
    index = await opened(site)
    site.all_pointers[KEY] = Pointer(current=OLD, building=NEW)
    await index.upsert(["a"])  # type: ignore[list-item]  # ids do for rows
    site.holds["last"] = {"a"}
    site.all_pointers[KEY] = Pointer(current="last")
    searching = [asyncio.create_task(search(index)) for _ in range(4)]
    await turns(4 * TURNS)
    for each in site.indexes:
        each.closing.set()
    assert await asyncio.gather(*searching) == [["a"]] * 4
    assert {each.name: each.closed for each in site.indexes} == {OLD: 1, NEW: 1, "last": 0}
    await index.close()


async def test_a_process_that_was_slow_to_start_begins_with_the_index_that_was_switched_to_meanwhile() -> None:
    site = Site(holds={OLD: {"a"}, NEW: {"a", "b"}})

    async def switch_and_drop() -> None:
        site.all_pointers[KEY] = Pointer(current=NEW)
        await site.drop(OLD)

    site.before_opening = switch_and_drop
    moved = list[str]()
    index = CurrentIndex(site, EMBEDDER.identity, on_move=moved.append)
    await index.open()
    assert moved == [NEW]
    assert await search(index) == ["a", "b"]
    await index.close()


async def test_a_process_that_was_slow_to_start_does_not_go_on_where_another_encoder_has_taken_over() -> None:
    """What it has made anew in place of the index that was removed is empty."""
    site = Site(holds={OLD: {"a"}})

    async def taken_over() -> None:
        site.all_pointers[OTHER] = Pointer(current=NEW)
        site.holds.pop(OLD, None)
        site.holds[NEW] = {"a"}

    site.before_opening = taken_over
    for _ in range(2):
        with pytest.raises(PermanentError, match="WAGGLE_ENCODER_MODEL"):
            await opened(site)
    assert OLD in site.holds


async def test_indexes_without_what_names_the_current_one_are_no_reason_to_begin_with_an_empty_one() -> None:
    site = Site(holds={NEW: {"a"}})
    with pytest.raises(PermanentError, match=rf"{NEW}.*restore the pointers"):
        await opened(site)
    assert site.holds == {NEW: {"a"}}


@pytest.mark.parametrize(
    ("pointers", "replaced"),
    [
        ({}, False),
        ({KEY: Pointer(current=OLD)}, False),
        ({OTHER: Pointer(building=NEW, source=OLD)}, False),
        ({OTHER: Pointer(current=NEW, source=OLD)}, False),
        ({OTHER: Pointer(current=NEW)}, True),
        ({OTHER: Pointer(current=NEW, kept=(OLD,))}, True),
        ({KEY: Pointer(), OTHER: Pointer(building=NEW)}, False),
    ],
)
async def test_an_index_was_replaced_when_it_is_kept_or_nothing_names_it_any_more(
    pointers: dict[str, Pointer], replaced: bool
) -> None:
    assert await was_replaced(Site(all_pointers=pointers), OLD) is replaced


async def test_the_moment_of_a_switch_is_later_than_all_before_whatever_the_clocks_say() -> None:
    now = datetime(2030, 1, 1, tzinfo=UTC)
    assert await moment_of_switch(Site(), now) == now.timestamp()
    for earlier in (now.timestamp() - 5, now.timestamp(), now.timestamp() + 3_600):
        site = Site(all_pointers={OTHER: Pointer(current=OLD, switched_at=earlier)})
        assert await moment_of_switch(site, now) > earlier
