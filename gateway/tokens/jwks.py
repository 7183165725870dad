"""The public keys of who signs tokens: a JSON Web Key Set (RFC 7517), read again now and then since keys are rotated."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import structlog
from jwt import PyJWK

AGAIN_S: Final = 600.0
"""How often they are read."""
UNKNOWN_S: Final = 30.0
"""How often at most for a key that is not known: whoever makes up names of keys has nothing fetched for each. And how often
after a reading that failed."""
TIMEOUT_S: Final = 5.0
MOST_BYTES: Final = 256 * 1024
MOST_KEYS: Final = 100
ALGORITHMS: Final = frozenset(
    {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
)
"""Of public keys only: a key set that holds a shared secret has given it away."""

log = structlog.get_logger(__name__)


class JwksFailedError(Exception):
    """The keys cannot be read; those that were known go on."""


class SignersUnknownError(Exception):
    """The keys were never read: nothing is known of any token."""


class SigningKeys:
    """Keys by their id. `source` is a file or a URL; `client` fetches the URL, follows no redirect, and is closed by who gave it."""

    def __init__(
        self,
        source: str,
        *,
        client: httpx.AsyncClient | None = None,
        again_s: float = AGAIN_S,
        unknown_s: float = UNKNOWN_S,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._client = client
        self._again_s = again_s
        self._unknown_s = unknown_s
        self._now = now
        self._keys: Mapping[str, PyJWK] = {}
        self._known = False
        self._tried_at: float | None = None
        self._reading = asyncio.Lock()

    async def run(self) -> None:
        """Read them again and again until cancelled; sooner after a reading that failed, for one may have been withdrawn."""
        while True:
            async with self._reading:
                read = await self._read()
            await asyncio.sleep(self._again_s if read else self._unknown_s)

    async def find(self, key_id: str) -> PyJWK | None:
        """The key of that id. For one that is not known they are read once more, unless that was just done.

        Raises `SignersUnknownError` while they were never read.
        """
        if (found := self._keys.get(key_id)) is not None:
            return found
        async with self._reading:  # somebody may be at it
            if key_id not in self._keys and self._is_due():
                await self._read()
        if not self._known:
            raise SignersUnknownError
        return self._keys.get(key_id)

    def _is_due(self) -> bool:
        return self._tried_at is None or self._now() - self._tried_at >= self._unknown_s

    async def _read(self) -> bool:
        self._tried_at = self._now()
        try:
            self._keys = keys_of(await self._text())
        except JwksFailedError as error:
            log.warning("the keys that sign tokens cannot be read, those that are known go on", reason=str(error))
            return False
        self._known = True
        return True

    async def _text(self) -> bytes:
        if "://" in self._source:
            return await self._fetched()
        try:
            return await asyncio.to_thread(_start_of, Path(self._source))
        except OSError as error:
            raise JwksFailedError(f"WAGGLE_JWT_JWKS={self._source}: {error.strerror}") from error

    async def _fetched(self) -> bytes:
        assert self._client is not None
        body = bytearray()
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.stream("GET", self._source) as response:
                if response.status_code != 200:
                    raise JwksFailedError(f"{self._source} answered {response.status_code}")
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MOST_BYTES:
                        break
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise JwksFailedError(f"{self._source}: {str(error) or type(error).__name__}") from error
        return bytes(body)


def keys_of(text: bytes) -> dict[str, PyJWK]:
    """The public keys of a set that sign and have an id, by that; others are left aside. Raises `JwksFailedError`."""
    if len(text) > MOST_BYTES:
        raise JwksFailedError(f"the key set has more than {MOST_BYTES} bytes")
    try:
        items = json.loads(text)["keys"]
        items = [item for item in items if isinstance(item, dict)][:MOST_KEYS]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise JwksFailedError("it is no JSON Web Key Set") from error
    found = {}
    for item in items:
        key = _key(item)
        if key is not None:
            found[str(item["kid"])] = key
    return found


def _key(item: dict[str, Any]) -> PyJWK | None:
    if not isinstance(item.get("kid"), str) or item.get("use", "sig") != "sig":
        return None
    try:
        key = PyJWK(item)
    except Exception as error:  # noqa: BLE001 (one odd key must not take the others with it)
        log.warning("a key of the set is left aside", kid=item["kid"], reason=type(error).__name__)
        return None
    return key if key.algorithm_name in ALGORITHMS else None


def _start_of(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)
