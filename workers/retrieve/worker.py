"""Wires the question queue to the searcher."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from typing import Any

from contracts import topology
from contracts.errors import PermanentError
from contracts.health import FACT_ENCODER
from contracts.queries import Filters, QueryRequest
from contracts.runtime_config import RuntimeConfig
from contracts.settings import RerankerKind, RetrieveSettings
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.caching.base import Cache
from messaging.caching.check import tell_of_cache
from messaging.caching.factory import build_cache
from messaging.caching.metrics import measure
from messaging.caching.single_flight import SingleFlight
from messaging.cancellation import Cancellations
from messaging.condensing import CondenseDesk
from messaging.configuration import ConfigDuty
from messaging.delivery import Delivery
from messaging.encoding import encode_office
from messaging.fleet import FleetView
from messaging.ledger import DocumentLedger
from messaging.query_replies import QueryReplies
from messaging.stage_durations import StageDurations
from workers.encoding.base import Embedder, EncoderIdentity, Vector
from workers.indexing.duty import IndexDuty
from workers.indexing.guarded import GuardedIndex
from workers.retrieve.answering import Answering
from workers.retrieve.conversations import CONDENSE_SKIPPED, Conversations
from workers.retrieve.known_answers import KnownAnswers
from workers.retrieve.models import Models
from workers.retrieve.question_vectors import Encode, remembered
from workers.retrieve.searcher import RERANK_SKIPPED, Searcher
from workers.retrieve.text_vectors import TextVectors

_WARM_UP = "warm up"
_NOBODY = "none"
"""A tenant without documents."""
TIME_LIMIT_S = 60.0
"""No search takes so long; the deadline of the question usually comes first."""


def build(
    settings: RetrieveSettings,
    *,
    embedder: Callable[[], Embedder] | None = None,
    table: topology.Topology | None = None,
) -> WorkerApp:
    """The retrieve worker.

    `embedder` builds another encoder than the settings name; `table` is the topology where it is not the usual one.
    """
    app = WorkerApp(settings, service="retrieve", table=table)
    parts = Parts(app, settings, Models(app, settings, build_encoder=embedder))
    register(app, parts, concurrency=settings.retrieve_concurrency)
    return app


def register(app: WorkerApp, parts: Parts, *, concurrency: int) -> None:
    """Answer questions; end those that cannot be searched for; encode texts for whoever asks."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.background("endpoints", parts.models.care)
    app.background("encoding", parts.encode_texts)
    app.background("config", parts.config.run)
    app.background("index in reserve", parts.index_duty.watch)
    tell_of_cache(app, parts.settings, lambda: parts.cache)

    async def give_up(request: QueryRequest, error: PermanentError) -> None:
        await parts.answering.fail(request, error)

    async def expire(request: QueryRequest, delivery: Delivery) -> None:
        await parts.answering.expire(request, delivery)

    @app.consumes(
        topology.QUERY_WORKERS,
        QueryRequest,
        concurrency=concurrency,
        on_dead_letter=give_up,
        on_expired=expire,
        time_limit_s=TIME_LIMIT_S,
    )
    async def on_query(request: QueryRequest, delivery: Delivery) -> None:
        await parts.answering.answer(request, delivery)


class Parts:
    """What the worker is made of; put together once the broker is there."""

    answering: Answering
    index: GuardedIndex
    cancellations: Cancellations
    cache: Cache

    def __init__(self, app: WorkerApp, settings: RetrieveSettings, models: Models) -> None:
        self.models = models
        self._app = app
        self.settings = self._settings = settings
        self._index_breaker = app.breaker("index", self._look)
        app.probe(self._index_breaker, self._search)
        self._opened = AsyncExitStack()
        self.config = ConfigDuty(app)
        self.index_duty = IndexDuty(app, settings)

    async def start(self) -> None:
        broker = self._app.broker
        self._opened.push_async_callback(self.models.stop)
        embedder, reranking = await self.models.start()
        self._app.tell(FACT_ENCODER, embedder.identity.model)
        self.index = await self.index_duty.open(embedder.identity, self._index_breaker)
        self._opened.push_async_callback(self.index.close)
        self.cancellations = Cancellations(broker)
        self._opened.push_async_callback(self.cancellations.stop)
        await self.cancellations.start()
        self.cache, ledger = await self._opened_cache(broker), DocumentLedger(broker)
        self._embedder, self._reranking = embedder, reranking
        self._searcher = Searcher(
            self._remembered(self.cache, embedder.identity),
            self.index,
            ledger,
            scripts=embedder.scripts,
            fusion=self._settings.fusion,
            reranking=reranking,
            engine=self._settings.index.value,
            model=embedder.identity.model,
        )
        conversations = Conversations(CondenseDesk(broker), timeout_s=self._settings.condense_timeout_s)
        self._known_answers = await self._opened_answers(broker, self.cache, ledger, embedder.identity)
        self.answering = Answering(
            self._searcher,
            conversations,
            self._known_answers,
            QueryReplies.over(broker),
            self.cancellations,
            StageDurations(self._app.meter, remarks=(RERANK_SKIPPED, CONDENSE_SKIPPED)),
        )
        await self.config.take_up(self._adjust)
        await self._warm_up()

    async def stop(self) -> None:
        await self._opened.aclose()

    async def encode_texts(self) -> None:
        """Answer requests for the vectors of texts until cancelled."""
        broker = self._app.broker
        vectors = TextVectors(self.models.between_questions, self._embedder.identity, reply_bytes=broker.nc.max_payload)
        await encode_office(
            broker, vectors.reply, service=self._app.service, concurrency=self._settings.encode_concurrency
        ).run()

    async def _opened_cache(self, broker: Broker) -> Cache:
        cache = build_cache(self._settings, broker)
        self._opened.push_async_callback(cache.close)
        await cache.open()
        self._app.forgets(lambda: cache.forget(None))
        measure(cache, self._app.meter)
        return cache

    def _remembered(self, cache: Cache, identity: EncoderIdentity) -> Encode:
        settings = self._settings
        return remembered(
            self._encode,
            SingleFlight(cache),
            encoder={**self._encoding(identity), "precision": settings.encoder_precision},
            dimension=identity.dimension,
            ttl_s=settings.cache_ttl_s,
        )

    async def _opened_answers(
        self, broker: Broker, cache: Cache, ledger: DocumentLedger, encoder: EncoderIdentity
    ) -> KnownAnswers:
        settings = self._settings
        fleet = FleetView(broker, service="generate")
        self._opened.push_async_callback(fleet.stop)
        await fleet.start()
        known_answers = KnownAnswers(
            broker,
            cache,
            fleet,
            ledger.epoch,
            search=self._search_of(encoder, RuntimeConfig()),
            ttl_s=settings.cache_ttl_s,
            most_waiting=settings.retrieve_concurrency // 2,
        )
        await self._opened.enter_async_context(known_answers.listening())
        return known_answers

    def _adjust(self, config: RuntimeConfig) -> None:
        self.index_duty.adjust(config)
        fusion = config.fusion or self._settings.fusion
        self._searcher.order(fusion=fusion, reranking=None if config.reranking is False else self._reranking)
        self._known_answers.adjust(
            search=self._search_of(self._embedder.identity, config), in_use=config.answer_cache is not False
        )

    def _search_of(self, encoder: EncoderIdentity, config: RuntimeConfig) -> dict[str, Any]:
        """All settings that what is found depends on."""
        settings = self._settings
        reranker = RerankerKind.OFF if config.reranking is False else settings.reranker
        return {
            **self._encoding(encoder),
            "index": settings.index.value,
            "fusion": (config.fusion or settings.fusion).value,
            "reranker": [reranker.value, settings.reranker_model, settings.reranker_window],
        }

    def _encoding(self, encoder: EncoderIdentity) -> dict[str, Any]:
        """What the vector of a question depends on. Answers of hosts that compute in another precision are as good."""
        settings = self._settings
        return {
            **asdict(replace(encoder, precision="")),
            "query_prompt": settings.encoder_query_prompt,
            "max_tokens": settings.encoder_max_tokens,
        }

    async def _look(self) -> None:
        """Whether the index answers."""
        await self.index_duty.bare.count_generation("default", "none", "none")

    async def _search(self) -> None:
        """A search as questions do it, with a vector that was made at the start: the encoder has a probe of its own."""
        await self.index_duty.bare.search(_NOBODY, text=_WARM_UP, vector=self._vector, limit=1, filters=Filters())

    async def _encode(self, _: str, question: str) -> Vector:
        return await self.models.encode(question)

    async def _warm_up(self) -> None:
        """The first question is not to be the slow one: both sides of the index are used once."""
        self._vector = await self.models.encode(_WARM_UP)
        await self.index.search(_NOBODY, text=_WARM_UP, vector=self._vector, limit=1, filters=Filters())
