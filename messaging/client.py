"""The NATS client, with one slow path made fast, and requests that end when they are not permitted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from nats.aio.client import Client
from nats.aio.msg import Msg

from messaging.refusals import Refusals


class HeaderedClient(Client):
    """Remembers header names instead of judging each anew, character by character.

    Every message from a stream carries five or more headers of the same few names; looking up the ledger records of
    twenty documents takes a tenth less time this way.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refusals = Refusals()

    async def request(
        self,
        subject: str,
        payload: bytes = b"",
        timeout: float = 0.5,
        old_style: bool = False,
        headers: dict[str, Any] | None = None,
    ) -> Msg:
        """As the library's, and raises `NotPermittedError` at once where that would wait in vain."""
        async with self.refusals.heeded(subject):
            return await super().request(subject, payload, timeout, old_style, headers)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        """As the library's: lines without a name, or with one that is none, are left out."""
        headers: dict[str, str] = {}
        for line in raw.split(b"\r\n"):
            name, separator, value = line.partition(b":")
            if separator and (key := _name(name)) is not None:
                headers[key] = value.strip().decode("utf-8", "replace")
        return headers

    @classmethod
    def headers_of(cls, block: bytes) -> dict[str, str]:
        """The headers in a block as streams store it: `NATS/1.0`, then one a line."""
        return cls._parse_header_lines(block.partition(b"\r\n")[2])


@lru_cache(maxsize=1024)
def _name(raw: bytes) -> str | None:
    """A header's name, or None for what is no name: outside ASCII, or with white space inside."""
    try:
        name = raw.strip().decode("ascii")
    except UnicodeDecodeError:
        return None
    return None if any(character.isspace() for character in name) else name
