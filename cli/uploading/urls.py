"""Documents that the gateway fetches itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from cli.client import GatewayClient
from cli.replies import Uploaded
from contracts.sources import document_of

_SCHEMES = ("http://", "https://")


def is_url(text: str) -> bool:
    return text.lower().startswith(_SCHEMES)


@dataclass(frozen=True, kw_only=True)
class UrlSource:
    """A URL. Its document is the one that the gateway itself would make of it."""

    url: httpx.URL

    @classmethod
    def of(cls, text: str) -> UrlSource:
        """Raises `httpx.InvalidURL`."""
        return cls(url=httpx.URL(text).copy_with(fragment=None))

    @property
    def name(self) -> str:
        return str(self.url)

    @property
    def document_id(self) -> str:
        return document_of(str(self.url))

    async def send(self, client: GatewayClient, metadata: Mapping[str, str] | None) -> Uploaded:
        return await client.submit_url(str(self.url), document_id=self.document_id, metadata=metadata)
