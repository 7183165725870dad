"""What lies in the object store, whether a document needs it or not."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime

from contracts import topology
from messaging.storage import Storage, Stored

_STREAM = f"OBJ_{topology.UPLOADS.name}"
_CHUNKS = f"$O.{topology.UPLOADS.name}.C."
_META = f"$O.{topology.UPLOADS.name}.M."


@dataclass(frozen=True, kw_only=True)
class StoredPart:
    """A finished object: a part of a generation. `nuid` names its chunks."""

    tenant: str
    document_id: str
    generation: str
    nuid: str
    stored_at: datetime


class UploadInventory:
    """Lists finished objects and sets of chunks. All methods raise `BrokerUnavailableError` when the broker is away."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def parts(self) -> AsyncIterator[StoredPart]:
        """All finished objects of ours; what others put into the bucket is left out."""
        async for stored in self._storage.every(_STREAM, f"{_META}>"):
            part = _part(stored)
            if part is not None:
                yield part

    async def chunk_sets(self) -> frozenset[str]:
        """The names of all sets of chunks, finished or not."""
        return frozenset(
            subject.removeprefix(_CHUNKS) for subject in await self._storage.subjects(_STREAM, f"{_CHUNKS}>")
        )

    async def last_written_at(self, nuid: str) -> datetime | None:
        """When the newest chunk of a set was stored; None when there is none."""
        stored = await self._storage.last(_STREAM, _CHUNKS + nuid)
        return stored.stored_at if stored else None

    async def remove_chunks(self, nuid: str) -> None:
        """Remove a set of chunks that no object names."""
        await self._storage.purge(_STREAM, _CHUNKS + nuid)


def _part(stored: Stored) -> StoredPart | None:
    try:
        name = base64.urlsafe_b64decode(stored.subject.removeprefix(_META)).decode()
        nuid = json.loads(stored.data)["nuid"]
        tenant, document_id, generation, _ = name.split("/")
    except (binascii.Error, UnicodeDecodeError, ValueError, KeyError, TypeError):
        return None
    return StoredPart(
        tenant=tenant, document_id=document_id, generation=generation, nuid=str(nuid), stored_at=stored.stored_at
    )
