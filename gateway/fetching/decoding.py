"""Bodies that were compressed on their way, though nobody asked for that: unpacked piece by piece, never at once."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator

from gateway.fetching.errors import SourceFailedError, SourceRefusedError

PIECE_BYTES = 64 * 1024
_IDENTITY = frozenset({"", "identity"})
_ZLIB = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER_FORMAT = 32 + zlib.MAX_WBITS


def decoded(body: AsyncIterator[bytes], encoding: str) -> AsyncIterator[bytes]:
    """The body as it was before its Content-Encoding. Raises `SourceRefusedError` for one that is not known."""
    name = encoding.strip().lower()
    if name in _IDENTITY:
        return body
    if name not in _ZLIB:
        raise SourceRefusedError(
            f"The server sent the document in the encoding {name[:40]!r}, which was not asked for."
        )
    return _unpacked(body)


async def _unpacked(body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A bomb stays packed but for the piece in hand: who reads may stop at any piece."""
    stream = _Members()
    async for packed in body:
        for piece in stream.pieces(packed):
            yield piece
    if not stream.complete:
        raise SourceFailedError("The compressed document broke off before its end. Try again.")


class _Members:
    """Compressed data, which may be several members one after another (RFC 1952, 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(_EITHER_FORMAT)
        self._begun = False
        self._more = False
        """Whether there may be output of what was read already."""

    @property
    def complete(self) -> bool:
        return self._member.eof or not self._begun

    def pieces(self, packed: bytes) -> Iterator[bytes]:
        while packed or self._more:
            if packed and self._member.eof:
                self._member = zlib.decompressobj(_EITHER_FORMAT)
            self._begun = True
            try:
                piece = self._member.decompress(packed, PIECE_BYTES)
            except zlib.error as error:
                raise SourceFailedError("The document says to be compressed, and is not readable so.") from error
            self._more = len(piece) == PIECE_BYTES and not self._member.eof
            packed = self._member.unused_data if self._member.eof else self._member.unconsumed_tail
            if piece:
                yield piece
