"""Waggle's tenants as Weaviate's."""

from __future__ import annotations

from contracts.identifiers import digest

MAX_NAME_LENGTH = 64
"""Weaviate allows the characters of a `Token`, but no more of them than this."""

_DIGEST_LENGTH = 32
_PREFIX_LENGTH = MAX_NAME_LENGTH - _DIGEST_LENGTH - 1


def shard_name(tenant: str) -> str:
    """The name of the shard that holds a tenant's rows; two tenants never share one.

    Short names are their own. From 64 characters on it is the beginning and a digest, always of 64 characters, so that it
    cannot be the name of a tenant that is its own.
    """
    if len(tenant) < MAX_NAME_LENGTH:
        return tenant
    return f"{tenant[:_PREFIX_LENGTH]}-{digest(tenant)[:_DIGEST_LENGTH]}"
