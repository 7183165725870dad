"""A whole system for documents: a broker, an index, and on demand the workers between them."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from contracts.documents import DocumentRecord, DocumentState, Metadata
from contracts.queries import QueryRequest
from contracts.settings import BrokerSettings, EmbedSettings, IngestSettings
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.letterbox import Letterbox
from messaging.provisioning import provision
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.terminals import Terminals
from messaging.uploads import Part, Uploads
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as build_embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.indexing.factory import build_index
from workers.ingest.worker import build as build_ingest
from workers.retrieve.searcher import Searcher

TENANT = "t"
TABLE = brisk()


class Site:
    """One system in a folder of its own; documents are handed in, followed and searched here."""

    def __init__(self, folder: Path, nats_url: str, broker: Broker) -> None:
        self.folder = folder
        self.nats_url = nats_url
        self.broker = broker
        self.ledger = DocumentLedger(broker)
        self.uploads = Uploads(broker)
        self.storage = Storage(broker)
        self.submissions = Submissions(broker, self.ledger, self.uploads)
        self.letters = Letterbox(broker, self.storage, self.submissions, Terminals(broker))

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Ingest and embed run within the block; the encoder is simulated."""
        ingest = IngestSettings(nats_url=self.nats_url, instance="ingest-1", log_level="error")
        embed = EmbedSettings(
            nats_url=self.nats_url, index_path=self._index, data_dir=self.folder, instance="embed-1", log_level="error"
        )
        async with (
            running(build_ingest(ingest, table=TABLE)),
            running(build_embed(embed, embedder=SimulatedEmbedder, table=TABLE, kept_s=1.0)),
        ):
            yield

    async def submit(
        self,
        document_id: str,
        content: bytes,
        *,
        name: str = "upload.txt",
        metadata: Metadata | None = None,
        principal: str = "anonymous",
    ) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield content

        submitted = await self.submissions.submit(
            tenant=TENANT,
            document_id=document_id,
            name=name,
            content=pieces(),
            max_bytes=2**30,
            metadata=metadata,
            principal=principal,
        )
        return submitted.generation

    async def record(self, document_id: str) -> DocumentRecord:
        record = await self.ledger.get(TENANT, document_id)
        assert record is not None, document_id
        return record

    async def ends(self, document_id: str, state: DocumentState) -> None:
        async def has_ended() -> bool:
            record = await self.record(document_id)
            return record.pending_generation is None and record.state is state

        await until(has_ended, timeout_s=60, what=f"{document_id} is {state}")

    async def content(self, document_id: str, generation: str, part: Part = "content") -> bytes:
        return await self.uploads.read_bytes(TENANT, document_id, generation, part)

    async def found(self, word: str) -> list[str]:
        """The texts of the passages that a search returns for a word, of visible documents only."""
        embedder = SimulatedEmbedder()
        index = build_index(EmbedSettings(index_path=self._index), embedder.identity)
        await index.open()

        async def encode(_: str, question: str):
            return embedder.encode_questions([question])[0]

        try:
            searcher = Searcher(encode, index, self.ledger, scripts=frozenset())
            passages = (await searcher.search(QueryRequest(tenant=TENANT, query=word))).passages
        finally:
            await index.close()
        return [passage.text for passage in passages if word in passage.text]

    @property
    def _index(self) -> Path:
        return self.folder / "index"


@asynccontextmanager
async def site(folder: Path) -> AsyncIterator[Site]:
    """A new system; at the end of the block everything of it is destroyed."""
    with _destroyed(folder), NatsServer(folder / "nats") as server:
        broker = await Broker.connect(BrokerSettings(nats_url=server.url), name="test", on_closed=lambda: None)
        try:
            await provision(broker, TABLE)
            built = Site(folder, server.url, broker)
            yield built
            await built.submissions.close()
            await built.uploads.close()
        finally:
            await broker.close()


@contextmanager
def _destroyed(folder: Path) -> Iterator[None]:
    folder.mkdir()
    try:
        yield
    finally:
        shutil.rmtree(folder)
