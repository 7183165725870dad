"""Bringing a backup back into an empty system."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from contracts import subjects, topology
from contracts.documents import DocumentRecord, GenerationState
from messaging.backup.errors import DamagedBackupError
from messaging.backup.format import BUCKETS, LETTERS, BackedDocument, BackedMessage, Manifest, bucket_file
from messaging.backup.marker import Marker, Markers, Progress
from messaging.backup.progress import Advance, Step, unseen
from messaging.backup.reading import StoredBackup, kept
from messaging.backup.rebuilding import Rebuilding, rebuilding
from messaging.backup.waiting import STALL_S, Outcome, Waiting
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST, Bucket, StaleRevisionError
from messaging.errors import PublishRefusedError
from messaging.ledger import DocumentLedger, record_of
from messaging.provisioning import provision
from messaging.submissions import Submissions
from messaging.uploads import Uploads


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore came to; `outcome` is None when an earlier run had finished it, and this one changed nothing."""

    manifest: Manifest
    outcome: Outcome | None


async def restore(
    broker: Broker,
    path: Path,
    *,
    stall_s: float = STALL_S,
    table: topology.Topology | None = None,
    advance: Advance = unseen,
) -> Restored:
    """Bring back everything that a backup holds, and wait until its documents are searchable again.

    Each document is indexed anew from its original by the ingest and embed workers. Run again after it was cut off, it
    goes on; after it has finished, it changes nothing. One process at a time may do it. `table` is the topology where it is not the usual one.

    Raises `UnfinishedBackupError`, `NewerBackupError`, `DamagedBackupError`, `BackupInUseError` (another process has the
    folder) and `SystemNotEmptyError` before anything is written; `RestoreStalledError` when nothing has become searchable for `stall_s`; `BrokerUnavailableError`, and
    `StreamFullError` when the broker's limits are smaller than what is to be restored.
    """
    with kept(path):
        backup = await StoredBackup.checked(path, advance)
        await provision(broker, table or topology.Topology())
        markers = Markers(broker)
        marker = await markers.begin(backup.manifest)
        if marker.progress is Progress.FINISHED:
            return Restored(manifest=backup.manifest, outcome=None)
        total = await _Restoring(broker, backup, marker, advance).run()
        outcome = await Waiting(broker, backup, advance, total=total, stall_s=stall_s).run()
        await markers.finish(marker)
        return Restored(manifest=backup.manifest, outcome=outcome)


class _Restoring:
    """Writes everything. What is there already came from an earlier run, or is newer than the backup: it stays."""

    def __init__(self, broker: Broker, backup: StoredBackup, marker: Marker, advance: Advance) -> None:
        self._broker = broker
        self._backup = backup
        self._marker = marker
        self._advance = advance
        self._ledger = Bucket(broker, topology.DOCUMENTS)
        self._uploads = Uploads(broker)
        self._submissions = Submissions(broker, DocumentLedger(broker), self._uploads)

    async def run(self) -> int:
        """Returns how many documents have to be indexed anew."""
        try:
            for bucket in BUCKETS:
                await self._bucket(bucket)
            await self._letters()
            return await self._documents()
        finally:
            await self._submissions.close()
            await self._uploads.close()

    async def _bucket(self, of: topology.KeyValue) -> None:
        """Every revision of every key, after those that an earlier run has written."""
        bucket, there = Bucket(self._broker, of), dict[str, int]()
        for number, message in enumerate(self._backup.messages(bucket_file(of)), 1):
            subject = bucket.subject(message.key)
            if message.key not in there:
                there[message.key] = await bucket.storage.count(bucket.stream, subject)
            if there[message.key] > 0:
                there[message.key] -= 1
            else:
                await self._publish(message, subject, bucket.stream)
            self._advance(Step(what=of.name, done=number))

    async def _letters(self) -> None:
        total = self._backup.manifest.counts.dead_letters
        for number, message in enumerate(self._backup.messages(LETTERS), 1):
            subject = f"{subjects.DEAD_LETTERS}.{message.key}"
            try:
                await self._publish(message, subject, topology.DLQ.name, {HEADER_EXPECTED_LAST: "0"})
            except PublishRefusedError as refusal:
                if refusal.err_code not in ERR_WRONG_LAST:
                    raise
            self._advance(Step(what="dead letters", done=number, total=total))

    async def _publish(
        self, message: BackedMessage, subject: str, stream: str, headers: Mapping[str, str] | None = None
    ) -> None:
        await self._broker.publish_bytes(
            subject, bytes(message.data), stream=stream, headers={**message.headers, **(headers or {})}
        )

    async def _documents(self) -> int:
        counts, asked = self._backup.manifest.counts, 0
        total = counts.documents + counts.deleted_documents
        for number, document in enumerate(self._backup.documents(), 1):
            asked += await self._document(document)
            self._advance(Step(what="documents", done=number, total=total))
        return asked

    async def _document(self, document: BackedDocument) -> bool:
        """Uploads, then the record, then the request: the order of every submission. Returns whether there is one."""
        begun = rebuilding(document.record, restore_id=self._marker.restore_id, now=self._broker.clock.now())
        key = f"{begun.record.tenant}.{begun.record.document_id}"
        entry = await self._ledger.get(key)
        record = record_of(entry)
        if record is None:
            await self._put_uploads(document, begun)
            record = await self._enter(key, begun, revision=entry.revision if entry else 0)
        if begun.pending is not None and record.pending_generation == begun.pending.generation:
            await self._ask(record)
        return begun.pending is not None

    async def _enter(self, key: str, begun: Rebuilding, *, revision: int) -> DocumentRecord:
        try:
            await self._ledger.write(key, begun.record.model_dump_json().encode(), revision=revision)
        except StaleRevisionError:  # submitted by somebody at this very moment: theirs is newer
            return record_of(await self._ledger.get(key)) or begun.record
        return begun.record

    async def _ask(self, record: DocumentRecord) -> None:
        """Again is harmless: the ingest of a generation bears repetition."""
        pending = record.generation(record.pending_generation or "")
        if pending is not None and pending.state is GenerationState.SUBMITTED:
            await self._submissions.resume(record)

    async def _put_uploads(self, document: BackedDocument, begun: Rebuilding) -> None:
        tenant, document_id = document.record.tenant, document.record.document_id
        for upload in document.uploads:
            name = begun.stored_as(upload.generation)
            if name is None:
                continue
            content = self._backup.upload(upload)
            stored = await self._uploads.put(
                tenant, document_id, name, upload.part, content, max_bytes=upload.size_bytes
            )
            if stored.sha256 != upload.sha256:
                raise DamagedBackupError(f"the {upload.part} of document {document_id} was changed while it was read")
