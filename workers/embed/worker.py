"""Wires the embed queue to encoder, index and ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from contracts import topology
from contracts.documents import EmbedRequest, PurgeRequest
from contracts.endpoint_reports import ServedModelKind
from contracts.errors import PermanentError
from contracts.settings import EmbedSettings
from messaging.app import WorkerApp
from messaging.breaker import Probing
from messaging.caching.base import Cache
from messaging.caching.check import tell_of_cache
from messaging.caching.factory import build_cache
from messaging.census import CensusOffice
from messaging.configuration import ConfigDuty
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
from workers.encoding.factory import build_embedder, served_encoder
from workers.endpoints.care import EndpointCare
from workers.indexing.duty import IndexDuty
from workers.indexing.guarded import GuardedIndex

if TYPE_CHECKING:
    from workers.encoding.served import ServedEncoder

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
    register(app, Parts(app, settings, embedder, kept_s=kept_s), settings)
    return app


def register(app: WorkerApp, parts: Parts, settings: EmbedSettings) -> None:
    """Index batches, fail documents whose batches are given up, purge what is over."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.background("index upkeep", parts.keep_up)
    app.background("index census", parts.tell_census)
    app.background("endpoints", parts.endpoints.run)
    app.background("config", parts.config.run)
    app.background("index in reserve", parts.index_duty.watch)
    tell_of_cache(app, settings, lambda: parts.cache)

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
    cache: Cache

    def __init__(
        self, app: WorkerApp, settings: EmbedSettings, embedder: Callable[[], Embedder] | None, *, kept_s: float
    ) -> None:
        self._app = app
        self._settings = settings
        self._embedder = embedder
        self._served: ServedEncoder | None = None
        self.endpoints = EndpointCare(app)
        self.config = ConfigDuty(app)
        self.index_duty = IndexDuty(app, settings)
        self._encoder = EncodingThread(self._build_encoder)
        self._kept_s = kept_s
        self._encoder_breaker = app.breaker("encoder", lambda: require_plain(self._encoder), probing=ENCODER_PROBING)
        self._index_breaker = app.breaker("index", self._write_nothing)
        app.probe(self._encoder_breaker, lambda: require_plain(self._encoder), timeout_s=ENCODER_PROBING.timeout_s)
        app.probe(self._index_breaker, self._count_nothing)
        self._opened = AsyncExitStack()

    async def start(self) -> None:
        await self._care_for_endpoints()
        embedder = await self._encoder.start(self._encoder_breaker)
        self.index = await self.index_duty.open(embedder.identity, self._index_breaker)
        self._opened.push_async_callback(self.index.close)
        self._index_breaker.proved()
        await self.config.take_up(self.index_duty.adjust)
        self.upkeep = Upkeep(self.index.optimize)
        broker = self._app.broker
        self.cache = build_cache(self._settings, broker)
        self._opened.push_async_callback(self.cache.close)
        await self.cache.open()
        self._app.forgets(lambda: self.cache.forget(None))
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
            self.cache,
            kept_s=self._kept_s,
        )

    async def stop(self) -> None:
        self._encoder.stop()
        await self._opened.aclose()

    async def keep_up(self) -> None:
        await self.upkeep.run()

    async def tell_census(self) -> None:
        await CensusOffice(self._app.broker, self.index.census, service=self._app.service).run()

    async def _care_for_endpoints(self) -> None:
        self._served = None if self._embedder else served_encoder(self._settings)
        if self._served is not None:
            self._opened.push_async_callback(asyncio.to_thread, self._served.close)
            await self.endpoints.begin({ServedModelKind.ENCODER: self._served})

    def _build_encoder(self) -> Embedder:
        return self._embedder() if self._embedder else build_embedder(self._settings, served=self._served)

    async def _count_nothing(self) -> None:
        """Whether the index answers. What is written on a rhythm would grow its versions without end."""
        await self.index_duty.bare.count_generation("default", "none", "none")

    async def _write_nothing(self) -> None:
        """Whether the index can be written to: an index that is full or read-only still answers."""
        await self.index_duty.bare.delete_generation("default", "none", "none")
