"""What lies in the object store, whether a document needs it or not."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import datetime
from typing import get_args

from contracts import topology
from contracts.identifiers import TOKEN
from messaging.storage import Storage, Stored
from messaging.uploads import Part

_STREAM = f"OBJ_{topology.UPLOADS.name}"
_CHUNKS = f"$O.{topology.UPLOADS.name}.C."
_META = f"$O.{topology.UPLOADS.name}.M."


@dataclass(frozen=True, kw_only=True)
class StoredPart:
    """A finished object: a part of a generation."""

    tenant: str
    document_id: str
    generation: str
    stored_at: datetime


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """What the object store holds: our finished parts, and the names of all sets of chunks that no object names.

    `unfinished` is empty when an entry cannot be read: its chunks might be among them.
    """

    parts: tuple[StoredPart, ...]
    unfinished: frozenset[str]


class UploadInventory:
    """Lists finished objects and sets of chunks. All methods raise `BrokerUnavailableError` when the broker is away."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def take(self) -> Inventory:
        """Everything that is there now. What others put into the bucket is no part of ours, and its chunks are its own."""
        chunk_sets = await self._chunk_sets()  # first: what is finished meanwhile is then among the objects
        entries = [stored async for stored in self._storage.every(_STREAM, f"{_META}>")]
        named = [_nuid(stored) for stored in entries]
        return Inventory(
            parts=tuple(part for stored in entries if (part := _part(stored)) is not None),
            unfinished=frozenset() if None in named else chunk_sets.difference(name for name in named if name),
        )

    async def last_written_at(self, nuid: str) -> datetime | None:
        """When the newest chunk of a set was stored; None when there is none."""
        stored = await self._storage.last(_STREAM, _CHUNKS + nuid)
        return stored.stored_at if stored else None

    async def remove_chunks(self, nuid: str) -> None:
        """Remove a set of chunks that no object names."""
        await self._storage.purge(_STREAM, _CHUNKS + nuid)

    async def _chunk_sets(self) -> frozenset[str]:
        return frozenset(
            subject.removeprefix(_CHUNKS) for subject in await self._storage.subjects(_STREAM, f"{_CHUNKS}>")
        )


def _part(stored: Stored) -> StoredPart | None:
    try:
        name = base64.urlsafe_b64decode(stored.subject.removeprefix(_META)).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    tokens = name.split("/")
    if len(tokens) != 4 or tokens[3] not in get_args(Part) or not all(TOKEN.fullmatch(token) for token in tokens):
        return None
    tenant, document_id, generation, _ = tokens
    return StoredPart(tenant=tenant, document_id=document_id, generation=generation, stored_at=stored.stored_at)


def _nuid(stored: Stored) -> str | None:
    """Which chunks an entry names; empty when it names none any more, None when it cannot be read."""
    try:
        entry = json.loads(stored.data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(entry, dict):
        return None
    if entry.get("deleted"):
        return ""
    nuid = entry.get("nuid")
    return nuid if isinstance(nuid, str) and nuid else None
