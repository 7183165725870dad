"""Taking a backup while everything goes on."""

from __future__ import annotations

import sqlite3
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

from contracts import subjects, topology
from contracts.identifiers import new_id
from messaging.backup.documents import Documents, missing
from messaging.backup.errors import BackupError
from messaging.backup.format import (
    BUCKETS,
    DOCUMENTS,
    LETTERS,
    UPLOADS,
    BackedMessage,
    Counts,
    Manifest,
    bucket_file,
)
from messaging.backup.marker import MARKER_KEY
from messaging.backup.progress import Advance, Step, unseen
from messaging.backup.snapshot import read_ledger
from messaging.backup.writing import BackupFolder, PrivateFile, UploadArchive
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.heartbeats import release
from messaging.storage import Storage, Stored

LETTERS_AT_ONCE = 8
"""Read in one go; each may be as large as a message."""


async def back_up(broker: Broker, path: Path, *, overwrite: bool = False, advance: Advance = unseen) -> Manifest:
    """Write everything that cannot be made again into the folder `path`.

    The ledger comes first, as it stood at one moment; then each document's uploads, and where these are gone by then, the
    document as it has become; then dead letters, which are written after the record that they explain. So every document
    accepted before this was called is in the backup with the content it needs, every one that failed with its letter, and
    none is there twice. Raises `BackupExistsError`, `BackupError` (the folder cannot be written to),
    `BrokerUnavailableError`, `UnreadableRecordError`: then there is no backup, or still the one before.
    """
    try:
        with BackupFolder.opened(path, overwrite=overwrite) as folder:
            return await _Taking(broker, folder, advance).run()
    except OSError as error:
        raise BackupError(
            f"{path} cannot be written to ({error.strerror}): make room, or name another folder"
        ) from error
    except sqlite3.Error as error:
        raise BackupError(
            f"the ledger cannot be kept in a temporary file ({error}): make room, or set TMPDIR"
        ) from error


@dataclass
class _Tally:
    documents: int = 0
    deleted_documents: int = 0
    uploads: int = 0
    uploads_missing: int = 0


class _Taking:
    def __init__(self, broker: Broker, folder: BackupFolder, advance: Advance) -> None:
        self._broker = broker
        self._storage = Storage(broker)
        self._folder = folder
        self._advance = advance
        self._tally = _Tally()

    async def run(self) -> Manifest:
        began_at = self._broker.clock.now()
        await self._documents()
        letters = await self._letters()
        settings = 0
        for bucket in BUCKETS:
            settings += await self._bucket(bucket)
        files = self._folder.finish_files()
        manifest = Manifest(
            id=new_id(),
            release=release(),
            began_at=began_at,
            finished_at=self._broker.clock.now(),
            counts=Counts(**vars(self._tally), dead_letters=letters, settings=settings),
            size_bytes=sum(entry.size_bytes for entry in files.values()),
            files=files,
        )
        self._folder.finish(manifest)
        return manifest

    async def _documents(self) -> None:
        lines, archive = self._folder.create(DOCUMENTS), UploadArchive(self._folder.create(UPLOADS))
        documents, snapshot = Documents(self._broker, archive), await read_ledger(self._broker)
        try:
            total = len(snapshot)
            for number, entry in enumerate(snapshot, 1):
                document = await documents.copy(entry)
                if document is not None:
                    lines.add_line(document)
                    self._count(document.record.deleted, len(document.uploads), len(missing(document)))
                self._advance(Step(what="documents", done=number, total=total))
        finally:
            snapshot.close()
        archive.end()

    def _count(self, deleted: bool, uploads: int, uploads_missing: int) -> None:
        tally = self._tally
        tally.documents += not deleted
        tally.deleted_documents += deleted
        tally.uploads += uploads
        tally.uploads_missing += uploads_missing

    async def _letters(self) -> int:
        prefix = f"{subjects.DEAD_LETTERS}."
        return await self._messages(self._folder.create(LETTERS), topology.DLQ.name, prefix, what="dead letters")

    async def _bucket(self, of: topology.KeyValue) -> int:
        bucket, file = Bucket(self._broker, of), self._folder.create(bucket_file(of))
        return await self._messages(file, bucket.stream, bucket.subject(""), what=of.name)

    async def _messages(self, file: PrivateFile, stream: str, prefix: str, *, what: str) -> int:
        """All messages of a stream, oldest first; returns how many."""
        count = 0
        async for stored in self._storage.every(stream, f"{prefix}>", limit=LETTERS_AT_ONCE):
            message = _backed(stored, prefix)
            if message.key != MARKER_KEY:
                file.add_line(message)
                count += 1
            self._advance(Step(what=what, done=count))
        return count


def _backed(stored: Stored, prefix: str) -> BackedMessage:
    """Without the headers that ask something of the broker: they were for then."""
    headers = {n: v for n, v in stored.published_headers.items() if not n.lower().startswith("nats-")}
    return BackedMessage(key=stored.subject.removeprefix(prefix), headers=headers, data=b64encode(stored.data))
