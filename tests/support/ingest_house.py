"""A broker with everything around ingestion: submits documents and reads what became of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from contracts import subjects, topology
from contracts.documents import DocumentState, EmbedRequest, Failure, Generation, IngestRequest, Metadata
from contracts.events import DocumentEvent, DocumentFact
from contracts.settings import BrokerSettings, IngestSettings
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.uploads import Uploads
from tests.support.waiting import until
from workers.ingest.worker import build

TENANT = "t"


class House:
    """A broker with everything that submits documents and reads what became of them."""

    def __init__(self, broker: Broker, settings: BrokerSettings, table: Topology) -> None:
        self.broker = broker
        self.ledger = DocumentLedger(broker)
        self.uploads = Uploads(broker)
        self.submissions = Submissions(broker, self.ledger, self.uploads)
        self._settings = settings
        self._table = table

    def worker(self) -> WorkerApp:
        return build(IngestSettings(nats_url=self._settings.nats_url, instance="ingest-1"), table=self._table)

    async def submit(
        self, document_id: str, content: bytes, *, name: str = "upload", metadata: Metadata | None = None
    ) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        submitted = await self.submissions.submit(
            tenant=TENANT, document_id=document_id, name=name, content=pieces(), max_bytes=2**30, metadata=metadata
        )
        return submitted.generation

    async def ask_again(self, document_id: str, generation: str) -> None:
        """Publish the ingest request of a generation once more, as if its acknowledgement had been lost."""
        latest = await self.latest(document_id)
        request = IngestRequest(
            tenant=TENANT, document_id=document_id, generation=generation, name=latest.name, sha256=latest.sha256
        )
        stream = topology.INGEST
        await self.broker.publish(subjects.ingest_request(TENANT), request, stream=stream, message_id="again")

    async def latest(self, document_id: str) -> Generation:
        record = await self.ledger.get(TENANT, document_id)
        assert record is not None
        return record.latest

    async def state(self, document_id: str) -> DocumentState | None:
        record = await self.ledger.get(TENANT, document_id)
        return record.state if record else None

    async def batches(self, generation: str) -> list[EmbedRequest]:
        stored = await Storage(self.broker).following(topology.EMBED.name, subjects.embed_request(TENANT))
        found = [EmbedRequest.from_bytes(message.data) for message in stored]
        return [batch for batch in found if batch.generation == generation]

    async def batched(self, document_id: str) -> list[EmbedRequest]:
        """Wait until all planned batches of the latest generation are published."""

        async def complete() -> bool:
            latest = await self.latest(document_id)
            return latest.plan is not None and len(await self.batches(latest.generation)) >= latest.plan.batches

        await until(complete, timeout_s=60)
        return await self.batches((await self.latest(document_id)).generation)

    async def failure(self, document_id: str) -> Failure:
        async def failed() -> bool:
            return await self.state(document_id) is DocumentState.FAILED

        await until(failed, timeout_s=60)
        failure = (await self.latest(document_id)).failure
        assert failure is not None
        return failure

    async def told(self, document_id: str) -> list[DocumentFact]:
        stored = await Storage(self.broker).following(topology.EVENTS.name, "rag.events.document.*.*")
        events = [DocumentEvent.from_bytes(message.data) for message in stored]
        return [event.fact for event in events if event.document_id == document_id]

    async def queue_is_empty(self) -> bool:
        return await Storage(self.broker).count(topology.INGEST.name, "rag.ingest.requests.*") == 0

    async def text(self, document_id: str) -> str:
        generation = (await self.latest(document_id)).generation
        pieces = [piece async for piece in self.uploads.read(TENANT, document_id, generation, "text")]
        return b"".join(pieces).decode()

    async def close(self) -> None:
        await self.submissions.close()
        await self.uploads.close()
