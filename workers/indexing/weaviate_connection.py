"""The connection to Weaviate: opened once, used by many calls at a time, back by itself after an outage."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import grpc
import weaviate
from weaviate.classes.config import ConsistencyLevel
from weaviate.classes.init import AdditionalConfig, Auth, Timeout
from weaviate.config import GrpcConfig, Proxies

from contracts.errors import WaggleError
from contracts.weaviate_settings import WeaviateSettings
from workers.indexing.weaviate_address import Address
from workers.indexing.weaviate_errors import UnreachableError, translated

if TYPE_CHECKING:
    from weaviate import WeaviateAsyncClient
    from weaviate.collections import CollectionAsync

T = TypeVar("T")

PATIENCE_S = 1.0
"""A call that takes longer is asked after: the client repeats a call to a server that is gone for a minute before it says
so."""

_CHANNEL = (
    ("grpc.enable_http_proxy", 0),
    # By default a channel whose server was long away tries it again only every two minutes.
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Finds out that the other host is gone without a word. Servers allow one such question in five minutes; what was sent
    # must be confirmed within the second figure.
    ("grpc.keepalive_time_ms", 310_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)


class Connection:
    """A client of Weaviate, and how it is asked: every call has a deadline and ends with our errors."""

    def __init__(self, settings: WeaviateSettings) -> None:
        self.address = Address(settings)
        self._settings = settings
        self._client: WeaviateAsyncClient | None = None

    @property
    def client(self) -> WeaviateAsyncClient:
        if self._client is None:
            raise RuntimeError("the index is not open: await open() first")
        return self._client

    def collection(self, tenant: str | None = None) -> CollectionAsync[dict[str, Any], None]:
        """The collection of the settings, bound to a tenant's shard when one is given."""
        level = ConsistencyLevel(self._settings.weaviate_consistency.upper())
        collection = self.client.collections.use(self._settings.weaviate_collection).with_consistency_level(level)
        return collection if tenant is None else collection.with_tenant(tenant)

    async def open(self) -> None:
        """Connect. Raises `PermanentError` for what is set wrong, `TransientError` when Weaviate does not answer."""
        await self.address.check()
        self._client = self._new_client()
        await self.ask(self._client.connect)

    async def check_grpc(self) -> None:
        """Raise unless the gRPC port is Weaviate's: something else may listen there."""
        tenants = self.collection().tenants
        await self.ask(lambda: tenants.get_by_names(["none"]))

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def ask(self, call: Callable[[], Awaitable[T]], *, writes: bool = False) -> T:
        """The result of one call to the server.

        Raises `UnreachableError` when it does not answer in time or is not there, `DeniedError` when the key does not allow it,
        `AnsweredError` when the server says why it cannot.
        """
        limit_s = self._settings.weaviate_write_timeout_s if writes else self._settings.weaviate_timeout_s
        task = asyncio.ensure_future(call())
        try:
            async with asyncio.timeout(limit_s):
                return await self._answer(task)
        except TimeoutError as error:
            name = "WAGGLE_WEAVIATE_WRITE_TIMEOUT_S" if writes else "WAGGLE_WEAVIATE_TIMEOUT_S"
            raise UnreachableError(
                f"Weaviate at {self.address.url} (gRPC port {self.address.grpc_port}) did not answer within {limit_s:g} s: "
                f"is it overloaded, is WAGGLE_WEAVIATE_GRPC_PORT right, or is {name} too short?"
            ) from error
        except WaggleError:
            raise
        except Exception as error:
            ours = translated(error, url=self.address.url)
            if ours is error:
                raise
            raise ours from error
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _answer(self, task: asyncio.Future[T]) -> T:
        while not task.done():
            await asyncio.wait([task], timeout=PATIENCE_S)
            if not task.done():
                await self.address.look()
        return task.result()

    def _new_client(self) -> WeaviateAsyncClient:
        at, settings = self.address, self._settings
        key = settings.weaviate_api_key
        return weaviate.use_async_with_custom(
            http_host=_in_an_address(at.host),
            http_port=at.port,
            http_secure=at.secure,
            grpc_host=_in_an_address(at.grpc_host),
            grpc_port=at.grpc_port,
            grpc_secure=at.secure,
            auth_credentials=Auth.api_key(key.get_secret_value()) if key else None,
            additional_config=AdditionalConfig(
                timeout=Timeout(
                    query=settings.weaviate_timeout_s,
                    insert=settings.weaviate_write_timeout_s,
                    init=settings.weaviate_timeout_s,
                ),
                proxies=Proxies(),
                trust_env=at.secure,  # for SSL_CERT_FILE
                grpc_config=GrpcConfig(channel_options=_CHANNEL, credentials=_credentials() if at.secure else None),
            ),
            skip_init_checks=True,  # one of them asks the internet for the library's newest version
        )


def _in_an_address(host: str) -> str:
    """A host as it stands before a port: the client puts both together as they are."""
    return f"[{host}]" if ":" in host else host


def _credentials() -> grpc.ChannelCredentials:
    """TLS with the authorities of `SSL_CERT_FILE`, which the client's HTTP side reads, too; without it the usual ones."""
    file = os.environ.get("SSL_CERT_FILE")
    return grpc.ssl_channel_credentials(root_certificates=Path(file).read_bytes() if file else None)
