"""What admission has to know of tenants: how much each counts, and what of theirs waits."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.feed import DocumentFeed
from gateway.readmodel import ReadModel
from messaging.tenants import TenantRegister


class TenantStanding:
    """From what is agreed with them, and from the gateway's table of documents."""

    def __init__(self, register: TenantRegister, readmodel: ReadModel, feed: DocumentFeed) -> None:
        self._register = register
        self._readmodel = readmodel
        self._feed = feed

    def weight(self, tenant: str) -> float:
        return self._register.of(tenant).weight

    async def waiting(self) -> Mapping[str, int]:
        if not self._feed.caught_up.is_set():
            return {}
        return {tenant: usage.waiting for tenant, usage in (await self._readmodel.usage()).items()}
