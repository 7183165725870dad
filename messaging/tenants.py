"""What is agreed with single tenants, in the bucket of that name: set, listed, and followed by every gateway."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from contracts import topology
from contracts.errors import PermanentError, WaggleError
from contracts.tenants import TenantTerms
from messaging.broker import Broker
from messaging.buckets import Bucket, Entry
from messaging.watching import POLL_S, BucketWatch, Entries

MOST_TENANTS: Final = 10_000

log = structlog.get_logger(__name__)


class TooManyTenantsError(PermanentError):
    """Terms of so many tenants are agreed already; nothing was changed."""


class TenantBook:
    """Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._bucket = Bucket(broker, topology.TENANTS)
        self._watch = BucketWatch(broker, topology.TENANTS, "*")

    async def get(self, tenant: str) -> TenantTerms | None:
        """What is agreed with one; None: nothing of its own."""
        entry = await self._bucket.get(tenant)
        return None if entry is None else _read(entry)

    async def all(self) -> list[TenantTerms]:
        """All of them, by name."""
        return sorted(_read_all(await self._watch.read()).values(), key=lambda each: each.tenant)

    async def set(self, terms: TenantTerms) -> None:
        """Agree on this from now on. Raises `TooManyTenantsError`, and what `Bucket.overwrite` does."""
        if await self.get(terms.tenant) is None and len(await self.all()) >= MOST_TENANTS:
            raise TooManyTenantsError(f"terms of {MOST_TENANTS} tenants are agreed already: remove some")
        await self._bucket.overwrite(terms.tenant, terms.to_bytes())

    async def remove(self, tenant: str) -> None:
        """Have nothing of its own agreed with one any more; its documents and keys stay."""
        await self._bucket.overwrite(tenant, TenantTerms(tenant=tenant).to_bytes())  # a purge is heard by nobody
        await self._bucket.storage.purge(self._bucket.stream, self._bucket.subject(tenant))


class TenantRegister:
    """What is agreed with every tenant, known without asking the broker; what was known goes on while it is away."""

    def __init__(self, broker: Broker, *, poll_s: float = POLL_S) -> None:
        self._watch = BucketWatch(broker, topology.TENANTS, "*", poll_s=poll_s)
        self._terms: Mapping[str, TenantTerms] = {}

    async def run(self) -> None:
        """Follow it until cancelled."""
        async for entries in self._watch.states():
            self._terms = _read_all(entries)

    def of(self, tenant: str) -> TenantTerms:
        """What is agreed with a tenant; nothing of its own, where none is."""
        found = self._terms.get(tenant)
        return TenantTerms(tenant=tenant) if found is None else found


def _read_all(entries: Entries) -> dict[str, TenantTerms]:
    found = (_read(entry) for entry in entries.values())
    return {terms.tenant: terms for terms in found if terms is not None}


def _read(entry: Entry) -> TenantTerms | None:
    if entry.value is None:
        return None
    try:
        terms = TenantTerms.from_bytes(entry.value)
    except WaggleError as error:
        log.warning("not the terms of a tenant", key=entry.key, reason=str(error))
        return None
    return terms if terms.tenant == entry.key else None
