"""A link between a process and the broker that can be broken."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

HOST = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Link:
    """Passes everything on between its clients and one port, until told otherwise.

    Silent it passes nothing on, in neither direction, and tells nobody; what it holds is passed on later, as TCP would
    send it again. Refused it closes every connection and takes no new one.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._server: asyncio.Server | None = None
        self.port = 0
        self._passing = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"nats://{HOST}:{self.port}"

    async def restore(self) -> None:
        """All is well again; also how it starts."""
        if self._server is None:
            self._server = await asyncio.start_server(self._connected, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        self._passing.set()

    async def silence(self) -> None:
        self._passing.clear()

    async def refuse(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for end in self._ends:
            end.transport.abort()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self._to)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._ends |= ends
        pumps = [
            asyncio.create_task(self._pump(reader, far_writer)),
            asyncio.create_task(self._pump(far_reader, writer)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for pump in pumps:
                pump.cancel()
            for end in ends:
                end.transport.abort()
            self._ends -= ends

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while chunk := await reader.read(CHUNK_BYTES):
                await self._passing.wait()
                writer.write(chunk)
                await writer.drain()


@asynccontextmanager
async def link_to(port: int) -> AsyncIterator[Link]:
    """A link that works; closed afterwards."""
    link = Link(port)
    await link.restore()
    try:
        yield link
    finally:
        await link.refuse()
