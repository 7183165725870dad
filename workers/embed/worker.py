"""Wires the embed queue to encoder, index and ledger."""

from __future__ import annotations

from collections.abc import Callable

from contracts import topology
from contracts.documents import EmbedRequest, PurgeRequest
from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from contracts.settings import EmbedSettings
from messaging.app import WorkerApp
from messaging.breaker import Probing
from messaging.census import CensusOffice
from messaging.delivery import Delivery
from messaging.document_letters import DocumentLetters
from messaging.events import Events
from messaging.gathering import BatchItem
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from messaging.uploads import Uploads
from workers.embed.batch import Batches
from workers.embed.embedding import Embedding
from workers.embed.encoding_thread import EncodingThread
from workers.embed.guarded_encoder import GuardedEncoder, require_plain
from workers.embed.progress import Progress
from workers.embed.purging import KEPT_S, Purging
from workers.embed.upkeep import Upkeep
from workers.encoding.base import Embedder
from workers.encoding.factory import build_embedder
from workers.indexing.factory import build_index
from workers.indexing.guarded import GuardedIndex

BATCHES_AT_ONCE = 2
"""One is gathered and written while the other is encoded; encoding itself is one thread."""

ENCODER_PROBING = Probing(timeout_s=60.0)
"""A look waits for what the one thread is encoding."""


def build(
    settings: EmbedSettings,
    *,
    embedder: Callable[[], Embedder] | None = None,
    kept_s: float = KEPT_S,
    table: topology.Topology | None = None,
) -> WorkerApp:
    """The embed worker, the only writer of the index.

    `embedder` builds another encoder than the settings name; `kept_s` is how long rows of superseded generations stay;
    `table` is the topology where it is not the usual one.
    """
    app = WorkerApp(settings, service="embed", table=table)
    register(app, Parts(app, settings, embedder or (lambda: build_embedder(settings)), kept_s=kept_s), settings)
    return app


def register(app: WorkerApp, parts: Parts, settings: EmbedSettings) -> None:
    """Index batches, fail documents whose batches are given up, purge what is over."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.background("index upkeep", parts.keep_up)
    app.background("index census", parts.tell_census)
    app.check("index", parts.look)

    async def give_up(request: EmbedRequest, error: PermanentError) -> None:
        await parts.progress.fail(request, error)

    @app.consumes_batches(
        topology.EMBED_WORKERS,
        EmbedRequest,
        max_messages=settings.embed_batch_messages,
        gather_s=settings.embed_gather_ms / 1000,
        concurrency=BATCHES_AT_ONCE,
        on_dead_letter=give_up,
    )
    async def on_batch(items: list[BatchItem[EmbedRequest]]) -> None:
        await parts.batches.handle(items)

    @app.consumes(topology.PURGE_WORKERS, PurgeRequest)
    async def on_purge(request: PurgeRequest, _: Delivery) -> None:
        await parts.purging.purge(request)


class Parts:
    """What the worker is made of; put together once the broker is there."""

    progress: Progress
    batches: Batches
    purging: Purging
    index: GuardedIndex
    upkeep: Upkeep

    def __init__(
        self, app: WorkerApp, settings: EmbedSettings, build_encoder: Callable[[], Embedder], *, kept_s: float
    ) -> None:
        self._app = app
        self._settings = settings
        self._encoder = EncodingThread(build_encoder)
        self._kept_s = kept_s
        self._encoder_breaker = app.breaker("encoder", lambda: require_plain(self._encoder), probing=ENCODER_PROBING)
        self._index_breaker = app.breaker("index", self._write_nothing)

    async def start(self) -> None:
        embedder = await self._encoder.start()
        self._bare_index = build_index(self._settings, embedder.identity)
        self.index = GuardedIndex(self._bare_index, self._index_breaker)
        await self.index.open()
        self.upkeep = Upkeep(self.index.optimize)
        broker = self._app.broker
        ledger, events = DocumentLedger(broker), Events(broker)
        self.progress = Progress(broker, ledger, events, self.index, kept_s=self._kept_s)
        encoder = GuardedEncoder(self._encoder, self._encoder_breaker)
        self.batches = Batches(Embedding(encoder, self.index), self.progress, on_change=self.upkeep.changed)
        self.purging = Purging(
            ledger,
            Uploads(broker),
            events,
            self.index,
            broker.clock,
            DocumentLetters(Storage(broker)),
            kept_s=self._kept_s,
        )

    async def stop(self) -> None:
        self._encoder.stop()
        await self.index.close()

    async def keep_up(self) -> None:
        await self.upkeep.run()

    async def tell_census(self) -> None:
        await CensusOffice(self._app.broker, self.index.census, service=self._app.service).run()

    async def look(self) -> BackendCheck:
        """Whether the index answers."""
        await self._bare_index.count_generation("default", "none", "none")
        return BackendCheck(name="index", status=CheckStatus.OK)

    async def _write_nothing(self) -> None:
        """Whether the index can be written to: an index that is full or read-only still answers."""
        await self._bare_index.delete_generation("default", "none", "none")
