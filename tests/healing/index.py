"""An index in Weaviate that workers reach at two addresses, of which the first can be broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from tests.faults.link import HOST, Link, link_to
from tests.support.weaviate_server import WeaviateServer, find_binary
from tests.support.weaviate_site import site_of

COLLECTION: Final = "WaggleCampaign"


@dataclass(frozen=True, kw_only=True)
class TwoAddresses:
    """`links` are those of the first address; `environment` is what workers are told."""

    links: Sequence[Link]
    environment: Mapping[str, str]


@asynccontextmanager
async def index_at_two_addresses(folder: Path) -> AsyncIterator[TwoAddresses]:
    """A running server; afterwards it is gone. Raises `AssertionError` where its program is not installed."""
    binary = find_binary()
    assert binary is not None, "weaviate-server is not installed: leave this fault out with --only"
    server = WeaviateServer(folder, binary)
    await asyncio.to_thread(server.start)
    try:
        site = await asyncio.to_thread(site_of, server)
        async with link_to(urlsplit(server.url).port or 0) as http, link_to(server.grpc_port) as grpc:
            yield TwoAddresses(
                links=(http, grpc),
                environment={
                    **site.environment(COLLECTION),
                    "WAGGLE_WEAVIATE_URL": f"http://{HOST}:{http.port}",
                    "WAGGLE_WEAVIATE_GRPC_PORT": str(grpc.port),
                    "WAGGLE_WEAVIATE_STANDBY_URL": server.url,
                    "WAGGLE_WEAVIATE_STANDBY_GRPC_PORT": str(server.grpc_port),
                    "WAGGLE_WEAVIATE_TIMEOUT_S": "5",
                    "WAGGLE_WEAVIATE_WRITE_TIMEOUT_S": "5",
                    "WAGGLE_PROBE_INTERVAL_S": "5",
                },
            )
    finally:
        await asyncio.to_thread(server.stop)
