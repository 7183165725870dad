"""How the parser process hands over what it found: a header line, the text, a line for each batch of chunks.

Nothing in it is executed when read, and every part is read within a bound.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import BinaryIO

from contracts.errors import DocumentError, ErrorCode

_HEADER_BYTES = 64 * 1024
_BATCH_BYTES = 1024 * 1024
_PIECE_BYTES = 128 * 1024


class UnreadableResultError(ValueError):
    """The file is not a result: the process died before it was done, or was made to write something else."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What was found. `pages` is None for formats without pages; `fingerprint` is the digest of all batches."""

    media_type: str
    characters: int
    pages: int | None
    chunks: int
    batches: int
    text_bytes: int
    fingerprint: str


def write_result(file: BinaryIO, header: Header, text: bytes, batches: Iterable[bytes]) -> None:
    file.write(json.dumps(asdict(header)).encode() + b"\n")
    file.write(text)
    file.writelines(batch + b"\n" for batch in batches)


def write_failure(file: BinaryIO, error: DocumentError) -> None:
    file.write(json.dumps({"code": error.code, "message": str(error)}).encode() + b"\n")


class Result:
    """A result, read piece by piece. The file stays open as long as this is used."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the header. Raises the `DocumentError` that was written instead, or `UnreadableResultError`."""
        self._file = file
        file.seek(0)
        self.header = _header(file.readline(_HEADER_BYTES))
        self._start = file.tell()

    def text(self) -> Iterator[bytes]:
        """The extracted text in UTF-8, in pieces."""
        self._file.seek(self._start)
        left = self.header.text_bytes
        while left > 0 and (piece := self._file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece

    def batches(self) -> Iterator[bytes]:
        """Each batch as a JSON array of chunks. Raises `UnreadableResultError` when one is missing or too long."""
        self._file.seek(self._start + self.header.text_bytes)
        for _ in range(self.header.batches):
            batch = self._file.readline(_BATCH_BYTES)
            if not batch.endswith(b"\n"):
                raise UnreadableResultError("a batch of chunks is missing or too long")
            yield batch[:-1]


def _header(line: bytes) -> Header:
    try:
        fields = json.loads(line)
        if "code" in fields:
            raise DocumentError(ErrorCode(fields["code"]), str(fields["message"]))
        return Header(**fields)
    except (ValueError, TypeError, KeyError) as error:
        raise UnreadableResultError("the header is missing or damaged") from error
