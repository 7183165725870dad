"""Finds only what may be seen: chunks of the one visible generation of documents that are not deleted.

The index holds rows of superseded, pending and deleted generations too. The ledger alone says which are visible, and it
is read after each search: never a cached or watched copy, which may be old.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Protocol, TypeVar

from contracts.documents import DocumentRecord
from contracts.errors import TransientError
from workers.indexing.base import Candidate, Visible

Search = Callable[[int, Visible | None], Awaitable[Sequence[Candidate]]]
"""Search the index for so many rows by each side, restricted as given."""

T = TypeVar("T")

TURNS_TO_SEND = 3
"""After so many turns of the event loop a request that was just made has left the process."""
MAX_ROUNDS = 10
"""Each round doubles the reach: after ten it is a thousandfold, and the documents change faster than they are read."""


class Ledger(Protocol):
    """What says which generation of a document may be seen."""

    async def get_many(self, tenant: str, document_ids: Iterable[str]) -> dict[str, DocumentRecord]: ...


async def rank_visible(
    search: Search, ledger: Ledger, rank: Callable[[Sequence[Candidate]], T], *, tenant: str, reach: int
) -> T:
    """`rank` of what `search` finds of visible generations, complete as if nothing else were in the index.

    Candidates are ranked while the ledger is asked about them: mostly all are visible, and the time is not added.

    Begins with `reach` rows by each side. When a hit is not visible it searches again with twice the reach, restricted
    to the visible generations of all documents seen so far, until ledger and hits agree. Raises `TransientError` when
    the documents keep changing under it.
    """
    assumed: dict[str, str | None] = {}
    for _ in range(MAX_ROUNDS):
        found = await search(reach, Visible(generations=frozenset(assumed.items())) if assumed else None)
        asked = assumed.keys() | {candidate.document_id for candidate in found}
        asking = asyncio.ensure_future(_visible_generations(ledger, tenant, asked))
        try:
            for _ in range(TURNS_TO_SEND):
                await asyncio.sleep(0)
            ranked = rank(found)
            actual = await asking
        except BaseException:
            asking.cancel()
            raise
        # Documents that were searched restricted are checked even without a hit: they may be found in a newer generation.
        unchanged = all(actual[document_id] == generation for document_id, generation in assumed.items())
        if unchanged and all(actual[c.document_id] == c.generation for c in found):
            return ranked
        assumed, reach = actual, reach * 2
    raise TransientError(
        f"after {MAX_ROUNDS} searches there are still hits of generations that are not visible: "
        "the documents change faster than they can be searched, ask again"
    )


async def _visible_generations(ledger: Ledger, tenant: str, document_ids: AbstractSet[str]) -> dict[str, str | None]:
    if not document_ids:
        return {}
    records = await ledger.get_many(tenant, sorted(document_ids))
    return {i: records[i].searchable_generation if i in records else None for i in document_ids}
