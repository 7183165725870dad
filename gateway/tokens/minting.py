"""Tokens that API keys are exchanged for: short-lived, so that the key itself need not travel."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import jwt

from contracts.api_keys import ApiKey, Scope
from contracts.identifiers import new_id
from contracts.token_settings import EXCHANGED
from messaging.api_keys import end_of

HS256: Final = "HS256"
KEY_CLAIM: Final = "waggle_key"
LONGEST: Final = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Minted:
    """`token` is a secret; it is in no representation."""

    token: str
    scopes: tuple[Scope, ...]
    expires_at: datetime

    def __repr__(self) -> str:
        return f"Minted(scopes={self.scopes}, expires_at={self.expires_at.isoformat()})"


class Mint:
    """Signs with a secret that every gateway has."""

    def __init__(self, secret: str, *, audience: str) -> None:
        self._secret = secret
        self._audience = audience

    def exchange(self, key: ApiKey, *, scopes: Collection[Scope], lasting: timedelta, now: datetime) -> Minted:
        """A token for a key, with these of its scopes; it ends with the key at the latest."""
        ends = now + min(lasting, LONGEST)
        if (key_ends := end_of(key)) is not None:
            ends = min(ends, key_ends)
        kept = tuple(sorted(key.allows & frozenset(scopes)))
        claims = {
            "iss": EXCHANGED,
            "aud": self._audience,
            "sub": f"key:{key.id}",
            KEY_CLAIM: key.id,
            "scope": " ".join(kept),
            "iat": now,
            "exp": ends,
            "jti": new_id(),
        }
        return Minted(token=jwt.encode(claims, self._secret, algorithm=HS256), scopes=kept, expires_at=ends)
