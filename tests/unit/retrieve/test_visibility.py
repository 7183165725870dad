"""Random flips and deletes between any two steps of a search, against a model of ledger and index."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.documents import DocumentRecord
from contracts.errors import TransientError
from tests.unit.retrieve.making import candidate, record
from workers.indexing.base import Candidate, Visible
from workers.retrieve.visibility import rank_visible

DOCUMENTS = ("a", "b", "c")
Change = tuple[str, str]


class World:
    """Documents whose generations all have rows; changes happen between the steps of a search."""

    def __init__(self, changes: list[list[Change]]) -> None:
        self.generations: dict[str, list[str]] = {d: [f"{d}1"] for d in DOCUMENTS}
        self.deleted: set[str] = set()
        self.looked_up: dict[str, str | None] = {}
        self._changes = iter(changes)
        self.searches = 0

    def visible(self, document_id: str) -> str | None:
        return None if document_id in self.deleted else self.generations[document_id][-1]

    def rows(self) -> list[Candidate]:
        """Older generations match best: they crowd out what may be seen."""
        return [
            candidate("row", document_id=d, generation=g, ordinal=ordinal)
            for age in range(max(map(len, self.generations.values())))
            for d in DOCUMENTS
            for g in self.generations[d][age : age + 1]
            for ordinal in range(2)
        ]

    async def search(self, reach: int, visible: Visible | None) -> list[Candidate]:
        self.searches += 1
        allowed = dict(visible.generations) if visible else {}
        rows = [r for r in self.rows() if r.document_id not in allowed or allowed[r.document_id] == r.generation]
        self._change()
        return rows[:reach]

    async def get_many(self, tenant: str, document_ids: Iterable[str]) -> dict[str, DocumentRecord]:
        self._change()
        self.looked_up = {d: self.visible(d) for d in document_ids}
        records = {d: record(d, self.generations[d][-1], deleted=d in self.deleted) for d in self.looked_up}
        self._change()
        return records

    def _change(self) -> None:
        for what, document_id in next(self._changes, []):
            if what == "flip" and document_id not in self.deleted:
                number = len(self.generations[document_id]) + 1
                self.generations[document_id].append(f"{document_id}{number}")
            elif what == "delete":
                self.deleted.add(document_id)


CHANGES = st.lists(
    st.lists(st.tuples(st.sampled_from(["flip", "delete"]), st.sampled_from(DOCUMENTS)), max_size=2), max_size=9
)


@settings(max_examples=2000, deadline=None)
@given(before=CHANGES, during=CHANGES, reach=st.integers(1, 4))
async def test_only_and_all_visible_chunks_are_found_whatever_changes_meanwhile(before, during, reach):
    world = World([[change for step in before for change in step], *during])
    world._change()
    found = await rank_visible(world.search, world, list, tenant="t", reach=reach)
    generations = defaultdict(set)
    for hit in found:
        generations[hit.document_id].add(hit.generation)
        assert world.looked_up[hit.document_id] == hit.generation, "seen by the last look at the ledger"
    assert all(len(seen) == 1 for seen in generations.values()), "never a mixture"
    undisturbed = {d for d in DOCUMENTS if world.visible(d)}
    expected = sum(2 for d in undisturbed)
    assert len(found) >= min(reach, expected), "complete"


@given(before=CHANGES)
async def test_everything_visible_is_found_when_there_is_room(before):
    world = World([[change for step in before for change in step]])
    world._change()
    found = await rank_visible(world.search, world, list, tenant="t", reach=100)
    assert sorted({(c.document_id, c.generation) for c in found}) == sorted(
        (d, g) for d in DOCUMENTS if (g := world.visible(d))
    )
    assert len(found) == 2 * sum(world.visible(d) is not None for d in DOCUMENTS)


async def test_one_search_is_enough_when_everything_is_visible():
    world = World([])
    await rank_visible(world.search, world, list, tenant="t", reach=3)
    assert world.searches == 1


async def test_documents_that_the_ledger_does_not_know_are_not_found():
    class Forgetful(World):
        async def get_many(self, tenant, document_ids):
            known = await super().get_many(tenant, document_ids)
            return {d: r for d, r in known.items() if d != "b"}

    world = Forgetful([])
    found = await rank_visible(world.search, world, list, tenant="t", reach=100)
    assert {c.document_id for c in found} == {"a", "c"}


async def test_documents_that_never_stop_changing_are_a_passing_error():
    world = World([[("flip", "a")]] * 200)
    with pytest.raises(TransientError, match="ask again"):
        await rank_visible(world.search, world, list, tenant="t", reach=100)


async def test_without_the_second_search_visible_chunks_would_be_missing():
    """The fault that the restriction guards against: dropping what may not be seen leaves too little."""
    world = World([[("flip", "a")] * 3 + [("flip", "b")] * 3])
    world._change()
    dropped = [c for c in await world.search(3, None) if world.visible(c.document_id) == c.generation]
    assert len(dropped) < 3
    assert len(await rank_visible(world.search, world, list, tenant="t", reach=3)) >= 3


async def test_nothing_found_asks_the_ledger_for_nothing():
    async def empty(reach, visible):
        return []

    world = World([])
    assert await rank_visible(empty, world, list, tenant="t", reach=3) == []
    assert world.looked_up == {}
