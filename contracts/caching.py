"""What processes with caches tell one another."""

from __future__ import annotations

from contracts.identifiers import Token
from contracts.message import Message


class CacheCleared(Message):
    """Somebody cleared the cache: forget what you keep of it in memory."""

    origin: Token
    """The cache that tells it, which has forgotten already."""
    tenant: Token | None = None
    """Whose entries; None: everybody's."""
