"""An encoder of passages behind a circuit breaker."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from contracts.errors import TransientError
from messaging.breaker import Breaker
from workers.encoding.base import Passage, PassageEmbedding

PLAIN = Passage(text="Every encoder can take this sentence.")


class Encoder(Protocol):
    """Encodes without blocking the event loop."""

    async def encode(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]: ...


async def require_plain(encoder: Encoder) -> None:
    """Raises `TransientError` when not even a plain sentence can be encoded: then no text is at fault."""
    (outcome,) = await encoder.encode([PLAIN])
    if isinstance(outcome, Exception):
        raise TransientError(f"the encoder fails on everything: {outcome}") from outcome


class GuardedEncoder:
    """Raises `BackendAwayError` while the encoder is away; single passages that it cannot take are outcomes as ever."""

    def __init__(self, encoder: Encoder, breaker: Breaker) -> None:
        self._encoder = encoder
        self._breaker = breaker

    async def encode(self, passages: Sequence[Passage]) -> list[PassageEmbedding | Exception]:
        """As `Embedder.encode_passages`."""
        async with self._breaker:
            outcomes = await self._encoder.encode(passages)
            if outcomes and all(isinstance(outcome, Exception) for outcome in outcomes):
                await require_plain(self._encoder)
            return outcomes
