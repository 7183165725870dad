"""A value as a shared level holds it: with its expiry, and with the name that it was written under.

    format (1 byte) | expiry (8 bytes, milliseconds since 1970) | fingerprint of the key (16 bytes) | value

The expiry is exact where a server counts whole seconds, and tells a memory before it how long it may keep its copy. The
fingerprint makes sure that an answer is the one to this question, whatever a client library or a server mixes up.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from messaging.caching.errors import CacheRefusedError
from messaging.caching.keys import CacheKey

_HEAD = struct.Struct(">cQ16s")
_FORMAT = b"\x01"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    value: bytes
    expires_at: float


def seal(key: CacheKey, value: bytes, *, expires_at: float) -> bytes:
    """Bytes to store; `expires_at` in seconds since 1970."""
    return _HEAD.pack(_FORMAT, round(expires_at * 1000), _fingerprint(key)) + value


def opened(key: CacheKey, data: bytes) -> Envelope:
    """What `seal` made. Raises `CacheRefusedError` for bytes that it did not make for this key."""
    if len(data) < _HEAD.size:
        raise CacheRefusedError(f"an entry of {len(data)} bytes is none of this release")
    version, expires_at_ms, fingerprint = _HEAD.unpack_from(data)
    if version != _FORMAT:
        raise CacheRefusedError(f"an entry of format {version!r} is none of this release")
    if fingerprint != _fingerprint(key):
        raise CacheRefusedError("an entry was written under another name than it is read under")
    return Envelope(value=data[_HEAD.size :], expires_at=expires_at_ms / 1000)


def _fingerprint(key: CacheKey) -> bytes:
    return hashlib.sha256(f"{key.kind}/{key.tenant}/{key.digest}".encode()).digest()[:16]
