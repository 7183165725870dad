"""Which dead letters hold text of a document, so that they go with it when it is deleted."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.errors import InvalidMessageError, NewerSchemaError
from messaging.storage import Storage, Stored

DocumentKey = tuple[str, str]
"""Tenant and document id."""

SCANNED_AT_ONCE = 8
"""Letters read from the broker in one go; each may be as large as a message."""

_EVERY_LETTER = subjects.dead_letter("*", "*")
_DOCUMENT_ID = re.compile(rb'"document_id":\s?"([A-Za-z0-9_-]{1,128})"')
"""For a payload of which only the beginning was kept; in a text the quotes would be escaped."""


class DocumentLetters:
    """Knows the letters of each document. It reads each letter once and then only what is new.

    Its size is bounded by the stream's. All methods raise `BrokerUnavailableError` when the broker is away.
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._read_to = 0
        self._letters: defaultdict[DocumentKey, set[int]] = defaultdict(set)

    async def documents(self) -> frozenset[DocumentKey]:
        """All documents of which there are letters, or were when they were read."""
        await self._catch_up()
        return frozenset(self._letters)

    async def remove(self, tenant: str, document_id: str) -> int:
        """Remove all letters of a document; returns how many there were at most."""
        await self._catch_up()
        sequences = self._letters.get((tenant, document_id), set())
        removed = 0
        for sequence in sorted(sequences):
            if await self._holds(sequence, (tenant, document_id)):
                await self._storage.remove(topology.DLQ.name, sequence)
                removed += 1
        self._letters.pop((tenant, document_id), None)
        return removed

    async def _catch_up(self) -> None:
        if await self._storage.last_sequence(topology.DLQ.name) < self._read_to:  # it was made anew
            self._read_to = 0
            self._letters.clear()
        while batch := await self._storage.following(
            topology.DLQ.name, _EVERY_LETTER, after=self._read_to, limit=SCANNED_AT_ONCE
        ):
            for stored in batch:
                for key in _documents_in(stored):
                    self._letters[key].add(stored.sequence)
            self._read_to = batch[-1].sequence

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
        if isinstance(part, dict) and isinstance(name := part.get("document_id"), str):
            yield name
