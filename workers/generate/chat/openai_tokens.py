"""Counts tokens as a model behind endpoints does."""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog
from cachetools import LRUCache

from contracts.errors import PermanentError
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import EndpointFaultError
from workers.generate.chat.openai_introductions import Dialect, Introductions
from workers.text.tokens import count_tokens

if TYPE_CHECKING:
    import tokenizers

ESTIMATE_FACTOR = 1.3
"""Estimates are raised by so much: a prompt that is a little short is better than one that is refused."""
MAX_CACHED = 16_384
MAX_AT_ONCE = 8

log = structlog.get_logger(__name__)


class TokenCounter(Protocol):
    """How many tokens each text has; None where it cannot be told just now."""

    async def count(self, texts: Sequence[str]) -> list[int | None]: ...


class LibraryCounter:
    """Counts with the model's own `tokenizer.json`."""

    def __init__(self, tokenizer: tokenizers.Tokenizer) -> None:
        self._tokenizer = tokenizer

    @classmethod
    def from_path(cls, path: Path) -> LibraryCounter:
        """The tokenizer in a file or folder. Raises `PermanentError` when there is none."""
        file = path / "tokenizer.json" if path.is_dir() else path
        try:
            import tokenizers

            tokenizer = tokenizers.Tokenizer.from_file(str(file))
        except ImportError as error:
            raise PermanentError(
                "WAGGLE_GENERATOR_TOKENIZER needs the library tokenizers: in the folder of Waggle, "
                "uv pip install -e '.[openai]'"
            ) from error
        except Exception as error:  # the library raises nothing more special
            raise PermanentError(
                f"{file} is not a tokenizer that can be read ({error}): set WAGGLE_GENERATOR_TOKENIZER to the model's "
                "tokenizer.json, or leave it unset"
            ) from error
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return cls(tokenizer)

    async def count(self, texts: Sequence[str]) -> list[int | None]:
        encodings = await asyncio.to_thread(self._tokenizer.encode_batch_fast, list(texts), add_special_tokens=False)
        return [len(encoding) for encoding in encodings]


class EndpointCounter:
    """Has the endpoints count that can."""

    def __init__(self, introductions: Introductions) -> None:
        self._introductions = introductions
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)

    async def count(self, texts: Sequence[str]) -> list[int | None]:
        return list(await asyncio.gather(*map(self._count, texts)))

    async def _count(self, text: str) -> int | None:
        async with self._at_once:
            for endpoint, dialect in self._able():
                try:
                    return await self._introductions.count(endpoint, dialect, text)
                except (EndpointFaultError, ValueError) as error:
                    log.warning("endpoint did not count tokens", endpoint=endpoint.url, reason=str(error))
        return None

    def _able(self) -> list[tuple[Endpoint, Dialect]]:
        """The least busy first."""
        able = [
            (endpoint, known.dialect)
            for endpoint, known in self._introductions.known.items()
            if known.dialect and endpoint.usable
        ]
        return sorted(able, key=lambda pair: pair[0].in_flight)


class TokenCounts:
    """Counts every text once as long as it is remembered, and estimates where nobody can count."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._cache: LRUCache[bytes, int] = LRUCache(MAX_CACHED)

    async def of(self, texts: Sequence[str]) -> list[int]:
        """How many tokens each of `texts` is."""
        keys = [hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._cache}
        found = {key: self._cache[key] for key in keys if key not in new}
        counts = await self._counter.count(list(new.values())) if new else []
        for (key, text), count in zip(new.items(), counts, strict=True):
            found[key] = estimate(text) if count is None else count
            if count is not None:
                self._cache[key] = count
        return [found[key] for key in keys]


def estimate(text: str) -> int:
    """A count without any model."""
    return math.ceil(count_tokens(text) * ESTIMATE_FACTOR)
