"""Vectors as a response: written piece by piece, for as numbers they are several times as large as they came."""

from __future__ import annotations

import array
import asyncio
import base64
import json
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack

import structlog
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.encoding import Encoded

log = structlog.get_logger(__name__)


class VectorList(Response):
    """Sends the vectors, and closes `resources` at the end. A reader that is not done within `within_s` is cut off."""

    media_type = "application/json"

    def __init__(self, encoded: Encoded, *, as_numbers: bool, within_s: float, resources: AsyncExitStack) -> None:
        super().__init__(None, 200)
        del self.headers["content-length"]
        self._pieces = pieces(encoded, as_numbers=as_numbers)
        self._within_s = within_s
        self._resources = resources

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._resources:
            try:
                async with asyncio.timeout(self._within_s):
                    await self._send(send)
            except TimeoutError:  # the server closes the connection of a response that has no end
                log.warning("vectors were not read in time", within_s=self._within_s)

    async def _send(self, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
            await asyncio.sleep(0)  # others come to their turn between two vectors
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def pieces(encoded: Encoded, *, as_numbers: bool) -> Iterator[bytes]:
    """An `EmbeddingList` in JSON, a vector at a time."""
    yield b'{"object":"list","data":['
    for index, vector in enumerate(encoded.vectors):
        written = _numbers(vector) if as_numbers else f'"{vector}"'
        comma = "," if index else ""
        yield f'{comma}{{"object":"embedding","index":{index},"embedding":{written}}}'.encode()
    tokens = encoded.tokens or 0
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    yield f'],"model":{json.dumps(encoded.model)},"usage":{json.dumps(usage)}}}'.encode()


def _numbers(vector: str) -> str:
    """Nine digits tell any float32 from its neighbours."""
    numbers = array.array("f", base64.b64decode(vector))
    if sys.byteorder == "big":
        numbers.byteswap()
    return f"[{','.join(map('%.9g'.__mod__, numbers))}]"
