"""The endpoints of an encoder that is served elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from contracts.endpoints import EndpointAddress, parse_endpoints
from contracts.errors import ErrorCode
from contracts.model_settings import EMBEDDINGS_ROUTE, EncoderSettings
from contracts.settings_source import variable
from workers.endpoints.loop_thread import LoopThread
from workers.endpoints.pool import EndpointPool
from workers.endpoints.purpose import Purpose
from workers.endpoints.serving import ServedModel, pool_of

CONNECT_S = 3.0

T = TypeVar("T")


class ServedEncoder:
    """They are asked in an event loop of their own: an `Embedder` is called from a thread, which may wait, and what it is
    sent is large to read. Nothing is asked yet.
    """

    def __init__(self, settings: EncoderSettings) -> None:
        """Raises `PermanentError` when the settings name no endpoint."""
        purpose = Purpose(
            variables=variable("encoder"),
            operation="embeddings",
            route=EMBEDDINGS_ROUTE,
            model=settings.encoder_model,
            code=ErrorCode.ENCODING_FAILED,
            too_long=f"lower {variable('chunk_tokens')}, or have the server cut texts",
        )
        self.pool: EndpointPool = pool_of(
            purpose, _addresses(settings), api_key=settings.encoder_api_key, connect_s=CONNECT_S
        )
        self.model = ServedModel(self.pool)
        self._loop = LoopThread("embeddings")
        self._closing = threading.Lock()
        self._closed = False
        self.run(self.pool.start())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Wait for what requests come to."""
        return self._loop.run(work)

    async def failed(self) -> None:
        """As `EndpointPool.failed`, from another event loop."""
        await self._loop.awaited(self.pool.failed())

    def close(self) -> None:
        """Close every connection; requests under way are broken off. Any thread may do so, at any time, and again."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            try:
                self.run(self.pool.close())
            finally:
                self._loop.close()


def _addresses(settings: EncoderSettings) -> list[EndpointAddress]:
    if settings.encoder_endpoints is None:
        return []
    parsed = parse_endpoints(
        settings.encoder_endpoints, key_setting=variable("encoder_api_key"), route=EMBEDDINGS_ROUTE
    )
    return [address.with_version() for address in parsed]
