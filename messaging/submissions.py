"""Handing in documents and taking them back: upload, ledger, work queue and events, in an order that loses nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

from contracts import subjects, topology
from contracts.documents import DocumentRecord, Failure, GenerationState, IngestRequest, Metadata
from contracts.errors import ErrorCode, TransientError
from contracts.events import DocumentFact
from contracts.identifiers import ANONYMOUS, new_id
from contracts.sources import UrlSource
from messaging.broker import Broker
from messaging.document_failures import request_purge
from messaging.errors import StreamFullError
from messaging.events import Events
from messaging.generations import may_run_again
from messaging.ledger import DocumentLedger, DocumentNotFoundError, Submitted, SupersededError
from messaging.redrive import Redrive
from messaging.succession import superseded_by
from messaging.uploads import Uploads

MayCome = Callable[[DocumentRecord], bool]
"""Whether a repeat of an entry that failed may still be made, judged by the record."""


class Submissions:
    """The entrance of the document path.

    What follows the ledger write is carried through even if the caller is cancelled or the broker goes away: by tasks
    that this object owns, until `close`.
    """

    def __init__(
        self, broker: Broker, ledger: DocumentLedger, uploads: Uploads, *, redrive: Redrive | None = None
    ) -> None:
        self._broker = broker
        self._ledger = ledger
        self._uploads = uploads
        self._events = Events(broker)
        self._redrive = redrive or Redrive()
        self._entering: set[asyncio.Task[Submitted]] = set()

    @property
    def unsettled(self) -> int:
        """How many effects of accepted or refused submissions still wait for the broker."""
        return self._redrive.pending

    async def submit(
        self,
        *,
        tenant: str,
        document_id: str | None = None,
        name: str,
        content: AsyncIterator[bytes],
        max_bytes: int,
        metadata: Metadata | None = None,
        principal: str = ANONYMOUS,
        source: UrlSource | None = None,
        after_version: int | None = None,
    ) -> Submitted:
        """Submit a document's content; when this returns, it will end ready, superseded, deleted or failed.

        Without a `document_id` it is a new document. The same content, name and metadata as the latest submission
        start nothing (`Submitted.unchanged`). With `after_version` only while that is the latest, else raises
        `SupersededError`. Raises `UploadTooLargeError`; `StreamFullError` when the work queue or
        the object store is full (nothing is then going on); and `BrokerUnavailableError` when the broker is away: then
        the submission may still happen, and submitting it again under the same id is safe.
        """
        generation, document_id = new_id(), document_id or new_id()
        stored = await self._uploads.put(tenant, document_id, generation, "content", content, max_bytes=max_bytes)
        return await self._carried_through(
            self._enter(
                tenant,
                document_id,
                generation,
                lambda: self._ledger.submit(
                    tenant,
                    document_id,
                    generation=generation,
                    name=name,
                    sha256=stored.sha256,
                    size_bytes=stored.size_bytes,
                    metadata=metadata,
                    principal=principal,
                    source=source,
                    after_version=after_version,
                ),
            )
        )

    async def resubmit(
        self, tenant: str, document_id: str, generation: str, *, fresh: str | None = None, rebuild: bool = False
    ) -> Submitted:
        """Run a generation's content again under a new generation, superseding it.

        For one that is pending but whose plan cannot be reproduced, or the latest one when it has failed; to `rebuild`,
        for the visible one, which stays visible until the new one is. With the id of the `fresh` generation given it may
        be repeated. Raises `SupersededError` when the generation is none of these
        any more, `UploadMissingError` when its content is gone.
        """
        record = await self._ledger.get(tenant, document_id)
        fresh = fresh or new_id()
        if record is not None and record.generation(fresh) is not None:
            return await self._resumed(record, fresh)
        old = record.generation(generation) if record else None
        if record is None or old is None or not may_run_again(record, generation, rebuild=rebuild):
            raise SupersededError(
                f"generation {generation} of document {document_id} was replaced or deleted, or has ended well"
            )
        content = self._uploads.read(tenant, document_id, generation, "content")
        await self._uploads.put(tenant, document_id, fresh, "content", content, max_bytes=old.size_bytes)
        return await self._carried_through(
            self._enter(
                tenant,
                document_id,
                fresh,
                lambda: self._ledger.submit(
                    tenant,
                    document_id,
                    generation=fresh,
                    name=old.name,
                    sha256=old.sha256,
                    size_bytes=old.size_bytes,
                    metadata=old.metadata,
                    principal=old.principal,
                    source=old.source,
                    replacing=generation,
                    rebuild=rebuild,
                ),
                may_come=lambda record: may_run_again(record, generation, rebuild=rebuild),
            )
        )

    async def resume(self, record: DocumentRecord) -> bool:
        """Repeat what may have been cut off after the pending generation of a document was entered; harmless otherwise.

        Whether a request was stored: not while the broker takes it for a repetition of a recent one.
        """
        pending = record.pending_generation
        if pending is None or record.deleted:
            return False
        return await self._request_and_tell(
            Submitted(record=record, generation=pending, superseded=superseded_by(record, pending))
        )

    async def _resumed(self, record: DocumentRecord, fresh: str) -> Submitted:
        """Repeat what may have been cut off after a generation was entered."""
        submitted = Submitted(record=record, generation=fresh, superseded=superseded_by(record, fresh))
        known = record.generation(fresh)
        if record.deleted or known is None or known.state in (GenerationState.FAILED, GenerationState.SUPERSEDED):
            raise SupersededError(f"generation {fresh} of document {record.document_id} has ended already")
        if record.pending_generation == fresh:
            await self.resume(record)
        return submitted

    async def delete(self, tenant: str, document_id: str, principal: str = ANONYMOUS) -> DocumentRecord:
        """Make a document invisible at once; its rows and uploads are removed then.

        Raises `DocumentNotFoundError`, and `BrokerUnavailableError` when it may not have been deleted. Deleting again
        is harmless and repeats what may have been cut off.
        """
        record = await self._ledger.delete(tenant, document_id)
        last = record.latest.generation

        async def clear() -> None:
            await self.purge(record, tuple(g.generation for g in record.generations))
            await self._events.document(DocumentFact.DELETED, record, last, principal=principal)

        await self._redrive.now_or_later(f"clearing deleted document {document_id}", clear)
        return record

    async def purge(self, record: DocumentRecord, generations: tuple[str, ...]) -> None:
        """Have the index rows of void generations deleted, and remove their uploads."""
        for generation in generations:
            await request_purge(self._broker, record.tenant, record.document_id, generation)
            await self._uploads.delete(record.tenant, record.document_id, generation)

    async def close(self) -> None:
        """Let entries under way finish, and give up what waits for the broker."""
        await asyncio.gather(*self._entering, return_exceptions=True)
        await self._redrive.close()

    async def _enter(
        self,
        tenant: str,
        document_id: str,
        generation: str,
        write: Callable[[], Awaitable[Submitted]],
        *,
        may_come: MayCome | None = None,
    ) -> Submitted:
        try:
            submitted = await write()
        except Exception:
            self._redrive.later(
                f"settling submission {generation}",
                lambda: self._settle(tenant, document_id, generation, may_come=may_come),
            )
            raise
        if not submitted.unchanged:
            await self._request_ingest(submitted, may_refuse=may_come is None)
            await self._redrive.now_or_later(f"telling of submission {generation}", lambda: self._tell(submitted))
            return submitted
        await self._redrive.now_or_later(
            f"removing upload {generation}", lambda: self._uploads.delete(tenant, document_id, generation)
        )
        if submitted.record.latest.state is GenerationState.SUBMITTED:  # its own request may have been cut off
            await self._publish_request(submitted.record)
        return submitted

    async def _settle(self, tenant: str, document_id: str, generation: str, *, may_come: MayCome | None) -> None:
        """After a ledger write of unknown outcome: if it was made, go on; if it never will be, remove the upload."""
        record = await self._ledger.get(tenant, document_id)
        known = record.generation(generation) if record else None
        if record is not None and record.pending_generation == generation:
            await self.resume(record)
        elif known is None and record is not None and may_come is not None and may_come(record):
            return  # a repeat of the same run may be about to enter it
        elif record is None or known is None or record.deleted or known.state is GenerationState.SUPERSEDED:
            await self._uploads.delete(tenant, document_id, generation)

    async def _request_and_tell(self, submitted: Submitted) -> bool:
        is_stored = await self._publish_request(submitted.record)
        await self._tell(submitted)
        return is_stored

    async def _request_ingest(self, submitted: Submitted, *, may_refuse: bool) -> None:
        """A submission that finds the queue full is refused; one that nobody could hand in again is entered later."""
        record, generation = submitted.record, submitted.generation
        tenant, document_id = record.tenant, record.document_id
        try:
            await self._publish_request(record)
        except StreamFullError:
            if not may_refuse:
                self._redrive.later(f"ingest request {generation}", lambda: self._request_and_tell(submitted))
                raise
            full = Failure(code=ErrorCode.INTERNAL, message="The ingest queue was full: submit the document again.")

            async def refuse() -> None:
                failed = await self._ledger.fail(tenant, document_id, generation, full)
                await self._uploads.delete(tenant, document_id, generation)
                await self._events.document(DocumentFact.FAILED, failed, generation)
                await self._end_superseded(submitted)

            await self._redrive.now_or_later(f"refusing submission {generation}", refuse)
            raise
        except TransientError:
            self._redrive.later(f"ingest request {generation}", lambda: self._request_and_tell(submitted))
            raise

    async def _publish_request(self, record: DocumentRecord) -> bool:
        """For the pending generation: mostly the latest, but in a restored record a failed one may be later."""
        wanted = record.generation(record.pending_generation or "") or record.latest
        request = IngestRequest(
            tenant=record.tenant,
            document_id=record.document_id,
            generation=wanted.generation,
            principal=wanted.principal,
            name=wanted.name,
            sha256=wanted.sha256,
        )
        ack = await self._broker.publish(
            subjects.ingest_request(record.tenant),
            request,
            stream=topology.INGEST,
            message_id=f"{record.tenant}.{record.document_id}.{wanted.generation}",
        )
        return not ack.duplicate

    async def _tell(self, submitted: Submitted) -> None:
        await self._events.document(DocumentFact.SUBMITTED, submitted.record, submitted.generation)
        await self._end_superseded(submitted)

    async def _end_superseded(self, submitted: Submitted) -> None:
        record = submitted.record
        for generation in submitted.superseded:
            await self._events.document(DocumentFact.SUPERSEDED, record, generation)
        await self.purge(record, submitted.superseded)

    async def _carried_through(self, entry: Awaitable[Submitted]) -> Submitted:
        task = asyncio.ensure_future(entry)
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        return await asyncio.shield(task)


__all__ = ["DocumentNotFoundError", "Submissions", "Submitted"]
