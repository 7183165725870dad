"""Compares an index with the ledger."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from contracts.documents import DocumentRecord
from messaging.broker import Broker
from messaging.census import GenerationKey
from messaging.ledger import DocumentLedger, Unreadable
from messaging.records import with_records
from workers.indexing.base import VectorIndex
from workers.reindexing.standing import Known, is_current, planned

MOST_SHOWN = 20


class Kind(StrEnum):
    MISSING = "missing"  # a visible generation has fewer rows than chunks
    SURPLUS = "surplus"  # more rows than chunks
    UNKNOWN = "unknown"  # rows of a document that has no record
    UNREADABLE = "unreadable"  # of a record that this release cannot read
    WAITING = "waiting"  # rows of a generation that is over and not purged yet
    UNDER_WAY = "under_way"  # rows of a pending generation
    WHOLE = "whole"


AMISS = frozenset({Kind.MISSING, Kind.SURPLUS, Kind.UNKNOWN, Kind.UNREADABLE})


@dataclass(frozen=True, kw_only=True)
class Offender:
    kind: Kind
    tenant: str
    document_id: str
    generation: str
    rows: int
    chunks: int | None


@dataclass(kw_only=True)
class Checked:
    """What was found: how many generations and rows of each kind, and the first of those that are amiss."""

    generations: Counter[Kind] = field(default_factory=Counter)
    rows: Counter[Kind] = field(default_factory=Counter)
    offenders: list[Offender] = field(default_factory=list)

    @property
    def amiss(self) -> int:
        return sum(self.generations[kind] for kind in AMISS)

    @property
    def total_rows(self) -> int:
        return self.rows.total()

    def count(self, found: Offender) -> None:
        self.generations[found.kind] += 1
        self.rows[found.kind] += found.rows
        if found.kind in AMISS and len(self.offenders) < MOST_SHOWN:
            self.offenders.append(found)


async def check(broker: Broker, index: VectorIndex) -> Checked:
    """Compare all rows with all records. Holds one number for each generation in memory, and no rows.

    What seems amiss is looked at once more, since workers go on meanwhile.
    """
    ledger, checked, suspects = DocumentLedger(broker), Checked(), list[GenerationKey]()
    counted = defaultdict[tuple[str, str], dict[str, int]](dict)
    for (tenant, document_id, generation), rows in (await index.census()).items():
        counted[tenant, document_id][generation] = rows
    async for record in ledger.records():
        document = (record.tenant, record.document_id)
        for found in _judged(record, document, counted.pop(document, {})):
            _sort(found, checked, suspects)
    for document, generations in counted.items():
        for found in _judged(None, document, generations):
            _sort(found, checked, suspects)
    async for key, current in with_records(ledger, suspects, lambda key: key[:2]):
        rows = await index.count_generation(*key)
        if rows or is_current(current, key[2]):
            checked.count(_judge(current, key, rows))
    return checked


def _sort(found: Offender, checked: Checked, suspects: list[GenerationKey]) -> None:
    if found.kind in AMISS:
        suspects.append((found.tenant, found.document_id, found.generation))
    else:
        checked.count(found)


def _judged(record: Known, document: tuple[str, str], rows: dict[str, int]) -> Sequence[Offender]:
    """Each generation that has rows, or should have."""
    wanted = {record.searchable_generation} - {None} if isinstance(record, DocumentRecord) else set()
    return [
        _judge(record, (*document, str(name)), rows.get(str(name), 0)) for name in sorted({*rows, *wanted}, key=str)
    ]


def _judge(record: Known, key: GenerationKey, rows: int) -> Offender:
    tenant, document_id, generation = key
    chunks = planned(record, generation)
    return Offender(
        kind=_kind(record, generation, rows, chunks),
        tenant=tenant,
        document_id=document_id,
        generation=generation,
        rows=rows,
        chunks=chunks,
    )


def _kind(record: Known, generation: str, rows: int, chunks: int | None) -> Kind:
    if record is None:
        return Kind.UNKNOWN
    if isinstance(record, Unreadable):
        return Kind.UNREADABLE
    if not is_current(record, generation):
        return Kind.WAITING
    if chunks is not None and rows > chunks:
        return Kind.SURPLUS
    if generation == record.pending_generation:
        return Kind.UNDER_WAY
    return Kind.MISSING if chunks is not None and rows < chunks else Kind.WHOLE
