"""What entries of a cache are called: by kind, by tenant, and by a digest of all that the value depends on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

from contracts.identifiers import TOKEN, digest

DIGEST_LENGTH = 64
_HEX = frozenset("0123456789abcdef")


class CacheKind(StrEnum):
    """What is cached. Metrics are told by it, so there are few."""

    ANSWER = "answer"
    QUESTION_VECTOR = "question-vector"


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheKey:
    """The name of an entry. Make it with `CacheKey.of`.

    Tenants are tokens, which hold none of the characters that separate the parts of a key in any backend: no tenant's key is
    a part of another's, whatever they are called. Raises `ValueError` for a tenant or digest that is none.
    """

    kind: CacheKind
    tenant: str
    digest: str

    def __post_init__(self) -> None:
        require_tenant(self.tenant)
        if len(self.digest) != DIGEST_LENGTH or not _HEX.issuperset(self.digest):
            raise ValueError("the digest of a cache key is a SHA-256 in lower-case hex: make keys with `CacheKey.of`")

    @classmethod
    def of(cls, kind: CacheKind, tenant: str, **parts: Any) -> Self:
        """The key for these named parts: JSON values, in any order.

            CacheKey.of(CacheKind.ANSWER, tenant, question=text, model=name, version=1)

        Name everything that the value depends on, and a version of its encoding: then a key never changes its meaning.
        Raises `TypeError` for what is no JSON value.
        """
        return cls(kind=kind, tenant=tenant, digest=digest(_canonical(parts)))


def require_tenant(tenant: str) -> None:
    """Raises `ValueError` unless `tenant` is a token."""
    if TOKEN.fullmatch(tenant) is None:
        raise ValueError(f"{tenant!r} is no tenant: 1 to 128 letters, digits, - and _")


def _canonical(parts: dict[str, Any]) -> str:
    """JSON with sorted names and no blanks: the same for equal parts, another for others."""
    _require_json(parts)
    return json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def _require_json(value: Any) -> None:
    """What `json` would make the same of different values (the names 1 and "1") is refused."""
    if isinstance(value, dict):
        for name, part in value.items():
            if type(name) is not str:
                raise TypeError(f"names in a cache key are strings, not {type(name).__name__}")
            _require_json(part)
    elif isinstance(value, list | tuple):
        for part in value:
            _require_json(part)
    elif value is not None and not isinstance(value, str | int | float):
        raise TypeError(f"a cache key is made of JSON values, not of {type(value).__name__}")
