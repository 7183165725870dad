"""The models of a retrieve worker: one encodes questions, one may put passages in a better order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from contracts.endpoint_reports import ServedModelKind
from contracts.errors import ErrorCode, TransientError, WaggleError
from contracts.model_settings import RerankerKind
from contracts.settings import RetrieveSettings
from messaging.app import WorkerApp
from messaging.breaker import Breaker
from workers.encoding.base import Embedder, Vector
from workers.encoding.factory import build_embedder, served_encoder
from workers.endpoints.care import EndpointCare, Pooled
from workers.reranking.base import Reranker
from workers.reranking.factory import build_reranker
from workers.reranking.models import scripts_of
from workers.reranking.reranking import Reranking, look
from workers.retrieve.questions import THREADS, QuestionEncoder

if TYPE_CHECKING:
    from workers.encoding.served import ServedEncoder

T = TypeVar("T")


class Models:
    """Each has a breaker, and may have endpoints, which are looked after together."""

    def __init__(
        self, app: WorkerApp, settings: RetrieveSettings, *, build_encoder: Callable[[], Embedder] | None = None
    ) -> None:
        """`build_encoder` builds another encoder than the settings name."""
        self._app = app
        self._settings = settings
        self._other_encoder = build_encoder
        self._encoder = QuestionEncoder(self._build_encoder)
        self._encoder_breaker = app.breaker("encoder", lambda: self._encoder.encode("Does it work?"))
        app.probe(self._encoder_breaker, lambda: self._encoder.encode("Does it work?"))
        self._reranker_breaker = self._breaker_of_reranker()
        self._reranker: Reranker | None = None
        self._served: ServedEncoder | None = None
        self._endpoints = EndpointCare(app)
        self._opened = AsyncExitStack()

    async def start(self) -> tuple[Embedder, Reranking | None]:
        """Wait for the encoder; the reranker, if there is to be one, may come later.

        Raises `PermanentError` for wrong settings.
        """
        reranking = self._build_reranking()
        self._opened.push_async_callback(self._encoder.stop)
        await self._care_for_endpoints()
        embedder = await self._encoder.start(self._encoder_breaker)
        if reranking is not None:
            await reranking.start()
        return embedder, reranking

    async def care(self) -> None:
        """Look after the endpoints until cancelled."""
        await self._endpoints.run()

    async def encode(self, question: str) -> Vector:
        """(d,) float32, L2-normalised. Raises what the encoder raises, and `BackendAwayError` while it is away."""
        async with self._encoder_breaker:
            return await self._encoder.encode(question)

    async def between_questions(self, work: Callable[[Embedder], T]) -> T:
        """As `QuestionEncoder.between_questions`. Raises `TransientError` where the encoder fails, `BackendAwayError` while it is away."""
        try:
            async with self._encoder_breaker:
                return await self._encoder.between_questions(work)
        except WaggleError:
            raise
        except Exception as error:
            message = f"the encoder failed: {type(error).__name__}: {error}"
            raise TransientError(message, code=ErrorCode.ENCODING_FAILED) from error

    async def stop(self) -> None:
        """Requests to endpoints are broken off, so that no thread waits for a reply."""
        await self._opened.aclose()

    def _build_encoder(self) -> Embedder:
        if self._other_encoder is not None:
            return self._other_encoder()
        return build_embedder(self._settings, default_threads=THREADS, served=self._served)

    def _breaker_of_reranker(self) -> Breaker | None:
        if self._settings.reranker is RerankerKind.OFF:
            return None
        breaker = self._app.breaker("reranker", self._look_at_reranker)
        self._app.probe(breaker, self._look_at_reranker)
        return breaker

    async def _look_at_reranker(self) -> None:
        if self._reranker is not None:
            await look(self._reranker)

    def _build_reranking(self) -> Reranking | None:
        settings, breaker = self._settings, self._reranker_breaker
        self._reranker = build_reranker(settings)
        if self._reranker is None or breaker is None:
            return None
        reranking = Reranking(
            self._reranker,
            breaker,
            window=settings.reranker_window,
            timeout_s=settings.reranker_timeout_s,
            scripts=scripts_of(settings.reranker_model, given=settings.reranker_scripts),
        )
        self._opened.push_async_callback(reranking.close)
        return reranking

    async def _care_for_endpoints(self) -> None:
        models = dict[ServedModelKind, Pooled]()
        self._served = None if self._other_encoder else served_encoder(self._settings)
        if self._served is not None:
            self._opened.push_async_callback(asyncio.to_thread, self._served.close)
            models[ServedModelKind.ENCODER] = self._served
        if self._reranker is not None and self._reranker.endpoints is not None:
            models[ServedModelKind.RERANKER] = self._reranker.endpoints
        await self._endpoints.begin(models)
