"""Wires the question queue to the searcher."""

from __future__ import annotations

from collections.abc import Callable

from contracts import topology
from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from contracts.queries import Filters, QueryRequest
from contracts.settings import RetrieveSettings
from messaging.app import WorkerApp
from messaging.cancellation import Cancellations
from messaging.delivery import Delivery
from messaging.ledger import DocumentLedger
from messaging.query_replies import QueryReplies
from workers.encoding.base import Embedder, Vector
from workers.encoding.factory import build_embedder
from workers.indexing.factory import build_index
from workers.indexing.guarded import GuardedIndex
from workers.retrieve.answering import Answering
from workers.retrieve.questions import THREADS, QuestionEncoder
from workers.retrieve.searcher import Searcher

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
    parts = Parts(app, settings, embedder or (lambda: build_embedder(settings, default_threads=THREADS)))
    register(app, parts, concurrency=settings.retrieve_concurrency)
    return app


def register(app: WorkerApp, parts: Parts, *, concurrency: int) -> None:
    """Answer questions; end those that cannot be searched for."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.check("index", parts.look)

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

    def __init__(self, app: WorkerApp, settings: RetrieveSettings, build_encoder: Callable[[], Embedder]) -> None:
        self._app = app
        self._settings = settings
        self._encoder = QuestionEncoder(build_encoder)
        self._encoder_breaker = app.breaker("encoder", lambda: self._encoder.encode("Does it work?"))
        self._index_breaker = app.breaker("index", self.look)

    async def start(self) -> None:
        broker = self._app.broker
        embedder = await self._encoder.start()
        self._bare_index = build_index(self._settings, embedder.identity)
        self.index = GuardedIndex(self._bare_index, self._index_breaker)
        await self.index.open()
        self.cancellations = Cancellations(broker)
        await self.cancellations.start()
        searcher = Searcher(
            self._encode,
            self.index,
            DocumentLedger(broker),
            scripts=embedder.scripts,
            fusion=self._settings.fusion,
        )
        self.answering = Answering(searcher, QueryReplies.over(broker), self.cancellations)
        await self._warm_up()

    async def stop(self) -> None:
        await self.cancellations.stop()
        await self._encoder.stop()
        await self.index.close()

    async def look(self) -> BackendCheck:
        """Whether the index answers."""
        await self._bare_index.count_generation("default", "none", "none")
        return BackendCheck(name="index", status=CheckStatus.OK)

    async def _encode(self, question: str) -> Vector:
        async with self._encoder_breaker:
            return await self._encoder.encode(question)

    async def _warm_up(self) -> None:
        """The first question is not to be the slow one: both sides of the index are used once."""
        vector = await self._encoder.encode("warm up")
        await self.index.search("none", text="warm up", vector=vector, limit=1, filters=Filters())
