"""From which hosts documents are fetched: none, those that are listed, or all that are public."""

from __future__ import annotations

from collections.abc import Iterable

import httpx

from contracts.url_settings import ListedHost, UrlIngestion, UrlSettings
from gateway.fetching.errors import UrlRefusedError
from gateway.fetching.urls import PORTS


class Permission:
    """What an operator allows. Which addresses a host may have is another question, asked when it is connected to."""

    def __init__(self, ingestion: UrlIngestion, hosts: Iterable[ListedHost] = ()) -> None:
        self._ingestion = ingestion
        self._hosts = tuple(hosts)

    @classmethod
    def of(cls, settings: UrlSettings) -> Permission:
        return cls(settings.url_ingestion, settings.listed_hosts)

    def require(self, url: httpx.URL) -> None:
        """Raises `UrlRefusedError`."""
        if self._ingestion is UrlIngestion.OFF:
            raise UrlRefusedError(
                "This gateway fetches no documents by URL: download it and upload the file, or have whoever runs Waggle set "
                "WAGGLE_URL_INGESTION."
            )
        host = url.raw_host.decode("ascii")
        usual = url.port is None or url.port == PORTS[url.scheme]
        if any(each.covers(host) and (usual if each.port is None else each.port == _port(url)) for each in self._hosts):
            return
        if self._ingestion is UrlIngestion.LISTED:
            raise UrlRefusedError(
                f"Documents are not fetched from {url.netloc.decode()}: it is not among WAGGLE_URL_HOSTS."
            )
        if not usual:
            raise UrlRefusedError(
                f"Documents are not fetched from port {url.port}: only the usual ones, or those in WAGGLE_URL_HOSTS."
            )


def _port(url: httpx.URL) -> int:
    return url.port or PORTS[url.scheme]
