"""What a key looks like to who holds it: `wk_<id>_<secret>`."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Final

from contracts.identifiers import digest

SECRET_BYTES: Final = 32
ID_BYTES: Final = 10
_TEXT: Final = re.compile(r"wk_([a-z2-7]{16})_([A-Za-z0-9_-]{43})")


def new_id() -> str:
    """16 characters of base32: 80 random bits."""
    return base64.b32encode(secrets.token_bytes(ID_BYTES)).decode().lower()


def id_for(request: str) -> str:
    """The id of the key that a request makes, the same each time."""
    return base64.b32encode(bytes.fromhex(digest("key", request))[:ID_BYTES]).decode().lower()


def new_secret() -> str:
    """43 characters of base64: 256 random bits."""
    return secrets.token_urlsafe(SECRET_BYTES)


def text_of(key_id: str, secret: str) -> str:
    """The whole key, as it is handed over once."""
    return f"wk_{key_id}_{secret}"


def parts_of(text: str) -> tuple[str, str] | None:
    """Id and secret of a key; None: it is none."""
    found = _TEXT.fullmatch(text)
    return None if found is None else (found[1], found[2])


def id_of(text: str) -> str | None:
    """The id of a key; None: it is none."""
    parts = parts_of(text)
    return None if parts is None else parts[0]


def digest_of(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()
