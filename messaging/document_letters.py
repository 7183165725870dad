"""Which dead letters hold text of a document, so that they go with it when it is deleted."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.errors import InvalidMessageError, NewerSchemaError
from contracts.identifiers import TOKEN
from messaging.ledger import DocumentKey
from messaging.storage import Storage, Stored

SCANNED_AT_ONCE = 8
"""Letters read from the broker in one go; each may be as large as a message."""

_EVERY_LETTER = subjects.dead_letter("*", "*")
_DOCUMENT_ID = re.compile(rb'"document_id":\s?"([A-Za-z0-9_-]{1,128})"')
"""For a payload of which only the beginning was kept; in a text the quotes would be escaped."""


class DocumentLetters:
    """Knows the letters of each document. It reads each letter once and then only what is new.

    What it remembers is bounded by the stream. All methods raise `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._made_at: datetime | None = None
        self._read_to = 0
        self._letters: defaultdict[DocumentKey, set[int]] = defaultdict(set)

    async def documents(self) -> frozenset[DocumentKey]:
        """All documents of which there are letters, or were when they were read."""
        await self._catch_up()
        return frozenset(self._letters)

    async def remain(self, tenant: str, document_id: str) -> bool:
        """Whether there is still a letter of a document."""
        key = (tenant, document_id)
        for sequence in sorted(self._letters.get(key, ())):
            if await self._holds(sequence, key):
                return True
            self._letters[key].discard(sequence)  # replayed or dropped
        self._letters.pop(key, None)
        return False

    async def remove(self, tenant: str, document_id: str) -> int:
        """Remove all letters of a document; returns how many there were."""
        await self._catch_up()
        removed = 0
        for sequence in sorted(self._letters.pop((tenant, document_id), ())):
            if await self._holds(sequence, (tenant, document_id)):
                await self._storage.remove(topology.DLQ.name, sequence)
                removed += 1
        return removed

    async def _catch_up(self) -> None:
        made_at = await self._storage.created_at(topology.DLQ.name)
        if made_at != self._made_at:
            self._made_at, self._read_to = made_at, 0
            self._letters.clear()
        async for stored in self._storage.every(
            topology.DLQ.name, _EVERY_LETTER, after=self._read_to, limit=SCANNED_AT_ONCE
        ):
            for key in _documents_in(stored):
                self._letters[key].add(stored.sequence)
            self._read_to = stored.sequence
        await self._forget_what_aged_out()

    async def _forget_what_aged_out(self) -> None:
        oldest = await self._storage.following(topology.DLQ.name, _EVERY_LETTER, limit=1)
        first = oldest[0].sequence if oldest else self._read_to + 1
        for key in [key for key, sequences in self._letters.items() if min(sequences) < first]:
            self._letters[key] = {sequence for sequence in self._letters[key] if sequence >= first}
            if not self._letters[key]:
                del self._letters[key]

    async def _holds(self, sequence: int, key: DocumentKey) -> bool:
        """Whether it is still there: a letter may have been replayed or dropped, a stream made anew."""
        stored = await self._storage.at(topology.DLQ.name, sequence)
        return stored is not None and key in _documents_in(stored)


def _documents_in(stored: Stored) -> set[DocumentKey]:
    """The document that a message is about, and those whose passages it carries."""
    try:
        letter = DeadLetter.from_bytes(stored.data)
    except (InvalidMessageError, NewerSchemaError):  # of another release, which looks after it
        return set()
    return {(letter.tenant, name) for name in _named(bytes(letter.payload))}


def _named(payload: bytes) -> Iterator[str]:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):  # no JSON, or only its beginning
        yield from (name.decode() for name in _DOCUMENT_ID.findall(payload))
        return
    passages = body.get("passages") if isinstance(body, dict) else None
    for part in (body, *(passages if isinstance(passages, list) else ())):
        name = part.get("document_id") if isinstance(part, dict) else None
        if isinstance(name, str) and TOKEN.fullmatch(name):
            yield name
