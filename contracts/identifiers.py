"""Identifiers that are safe inside subjects and keys, and ids derived from what they name."""

from __future__ import annotations

import hashlib
import re
import uuid
from datetime import datetime
from typing import Annotated

from pydantic import StringConstraints
from ulid import ULID

DEFAULT_TENANT = "default"
ANONYMOUS = "anonymous"

TOKEN = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What a `Token` must be as a whole, for text that is no field of a message."""

Token = Annotated[str, StringConstraints(pattern=rf"^{TOKEN.pattern}$")]
"""One subject or key token: no dots, wildcards or white space, 1 to 128 characters."""

_CHUNKS = uuid.UUID("6f1d0c52-6c3b-5d0e-9a51-7b1f2a0c9e11")


def new_id() -> str:
    """A fresh ULID: 26 characters, sortable by time of creation."""
    return str(ULID())


def time_of(id: str) -> datetime | None:
    """When an id was made, by the clock of who made it; None for what is no ULID."""
    try:
        return ULID.from_str(id).datetime
    except ValueError:
        return None


def chunk_id(tenant: str, document_id: str, generation: str, ordinal: int) -> str:
    """The id of a chunk, the same however often its message is repeated (UUID version 5, RFC 9562)."""
    return str(uuid.uuid5(_CHUNKS, f"{tenant}/{document_id}/{generation}/{ordinal}"))


def derived_id(*parts: str) -> str:
    """An id that follows from what it names, the same each time; as long as a fresh one."""
    return digest(*parts)[:26]


def digest(*parts: bytes | str) -> str:
    """SHA-256 over length-prefixed parts, as 64 hex characters."""
    sha = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        sha.update(len(data).to_bytes(8, "big") + data)
    return sha.hexdigest()
