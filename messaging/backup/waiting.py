"""Waiting until the documents of a restored backup are indexed anew."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice

from contracts.documents import DocumentRecord, Generation
from contracts.errors import TransientError
from messaging.backup.errors import RestoreStalledError
from messaging.backup.format import BackedDocument
from messaging.backup.progress import Advance, Step
from messaging.backup.reading import StoredBackup
from messaging.backup.rebuilding import held_back_of
from messaging.broker import Broker
from messaging.ledger import DocumentLedger, SupersededError
from messaging.submissions import Submissions
from messaging.uploads import Uploads

STALL_S = 600.0
"""A document may take minutes to parse; while workers run, some end all the time."""

POLL_S = 0.5
WINDOW = 256
"""Documents looked at together, in the order in which they were asked for."""
NAMED = 20
"""Most documents that are named; the others are counted."""

Key = tuple[str, str]


@dataclass(kw_only=True)
class Outcome:
    """What became of the documents that were indexed anew; `failed` names the first `NAMED` that could not be."""

    searchable: int = 0
    failures: int = 0
    failed: list[str] = field(default_factory=list)

    def count(self, document_id: str, record: DocumentRecord | None) -> None:
        """A document that somebody has deleted meanwhile is as it should be."""
        if record is None or record.deleted or record.searchable_generation is not None:
            self.searchable += 1
            return
        self.failures += 1
        if len(self.failed) < NAMED:
            self.failed.append(document_id)


class Waiting:
    """Follows documents until nothing of them is pending any more, and hands in what was held back behind them."""

    def __init__(self, broker: Broker, backup: StoredBackup, advance: Advance, *, total: int, stall_s: float) -> None:
        self._backup = backup
        self._advance = advance
        self._total = total
        self._stall_s = stall_s
        self._ledger = DocumentLedger(broker)
        self._uploads = Uploads(broker)
        self._submissions = Submissions(broker, self._ledger, self._uploads)
        self._outcome = Outcome()

    async def run(self) -> Outcome:
        """Until all have ended. Raises `RestoreStalledError` when none has for `stall_s`."""
        documents = (document for document in self._backup.documents() if indexed_anew(document))
        try:
            while window := list(islice(documents, WINDOW)):
                await self._ended(window)
        finally:
            await self._submissions.close()
            await self._uploads.close()
        return self._outcome

    async def _ended(self, window: list[BackedDocument]) -> None:
        last_end = time.monotonic()
        while True:
            left = await self._look(window)
            self._advance(Step(what="searchable again", done=self._ended_so_far, total=self._total))
            if not left:
                return
            if len(left) < len(window):
                last_end = time.monotonic()
            elif time.monotonic() - last_end > self._stall_s:
                raise RestoreStalledError(
                    f"{self._ended_so_far} of {self._total} documents are searchable again, and none has become so for "
                    f"{self._stall_s:.0f} s: see that ingest and embed workers run (`waggle up`, `waggle status`), and "
                    "run the same restore again; it goes on waiting, nothing is written twice"
                )
            window = left
            await asyncio.sleep(POLL_S)

    @property
    def _ended_so_far(self) -> int:
        return self._outcome.searchable + self._outcome.failures

    async def _look(self, window: list[BackedDocument]) -> list[BackedDocument]:
        """Those that have not ended. A broker that is away for a while is waited for."""
        try:
            records = await self._records(window)
        except TransientError:
            return window
        return [document for document in window if await self._goes_on(document, records.get(_key(document)))]

    async def _goes_on(self, document: BackedDocument, record: DocumentRecord | None) -> bool:
        if record is not None and record.pending_generation is not None:
            return True
        if record is not None and (held_back := _held_back(document, record)) is not None:
            try:
                if await self._handed_in(document, held_back, after_version=record.latest.version):
                    return True
            except (TransientError, SupersededError):  # looked at again: somebody may have handed in something newer
                return True
        self._outcome.count(document.record.document_id, record)
        return False

    async def _handed_in(self, document: BackedDocument, held_back: Generation, *, after_version: int) -> bool:
        """Submit, as its owner did, the version that was on its way. False when the backup has no original of it."""
        for upload in document.uploads:
            if (upload.generation, upload.part) == (held_back.generation, "content"):
                await self._submissions.submit(
                    tenant=document.record.tenant,
                    document_id=document.record.document_id,
                    name=held_back.name,
                    content=self._backup.upload(upload),
                    max_bytes=upload.size_bytes,
                    metadata=held_back.metadata,
                    principal=held_back.principal,
                    source=held_back.source,
                    after_version=after_version,
                )
                return True
        return False

    async def _records(self, window: Iterable[BackedDocument]) -> dict[Key, DocumentRecord]:
        wanted: dict[str, list[str]] = defaultdict(list)
        for document in window:
            wanted[document.record.tenant].append(document.record.document_id)
        return {
            (tenant, document_id): record
            for tenant, ids in wanted.items()
            for document_id, record in (await self._ledger.get_many(tenant, ids)).items()
        }


def indexed_anew(document: BackedDocument) -> bool:
    """Whether a document of the backup was searchable, or on its way."""
    record = document.record
    return not record.deleted and (record.visible_generation or record.pending_generation) is not None


def _held_back(document: BackedDocument, record: DocumentRecord) -> Generation | None:
    """What is still to be handed in, unless somebody has handed in something newer."""
    held_back = held_back_of(document.record)
    newer = held_back is not None and record.latest.version >= held_back.version
    return None if record.deleted or newer else held_back


def _key(document: BackedDocument) -> Key:
    return document.record.tenant, document.record.document_id
