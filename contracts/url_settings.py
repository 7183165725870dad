"""Settings of ingestion by URL: what the gateway may fetch for who asks it to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from contracts.networks import Network, parse_networks
from contracts.settings_source import Settings

_WILDCARD = "*."


class UrlIngestion(StrEnum):
    OFF = "off"
    LISTED = "listed"
    PUBLIC = "public"


@dataclass(frozen=True, kw_only=True)
class ListedHost:
    """A host of the list: a name, an address, or all names below one; without a `port` those that schemes usually have."""

    name: str
    port: int | None
    below: bool = False

    def covers(self, host: str) -> bool:
        return host.endswith(f".{self.name}") if self.below else host == self.name


def parse_hosts(text: str) -> tuple[ListedHost, ...]:
    """Hosts as `docs.example.org,*.example.net,10.20.0.7:8000`. Raises `ValueError` that names the one that is none."""
    return tuple(_host(part.strip()) for part in text.split(",") if part.strip())


def _host(text: str) -> ListedHost:
    try:
        parts = urlsplit(f"//{text.removeprefix(_WILDCARD)}")
        name, port = parts.hostname, parts.port
    except ValueError:
        name, port = None, None
    if not name or parts.netloc != text.removeprefix(_WILDCARD) or "@" in text or "*" in name or port == 0:
        raise ValueError(f"{text!r} is not a host: a name or an address, with :port where it is an unusual one")
    return ListedHost(name=name.rstrip("."), port=port, below=text.startswith(_WILDCARD))


def _are_hosts(text: str) -> str:
    parse_hosts(text)
    return text


def _are_networks(text: str) -> str:
    parse_networks(text)
    return text


class UrlSettings(Settings):
    """From where documents may be fetched."""

    url_ingestion: UrlIngestion = Field(
        default=UrlIngestion.OFF,
        description="Whether documents are fetched by URL: off, from the hosts of WAGGLE_URL_HOSTS (listed), or from all public "
        "addresses (public).",
        examples=["listed"],
    )
    url_hosts: Annotated[str, AfterValidator(_are_hosts)] = Field(
        default="",
        description="Hosts that documents may be fetched from, comma separated; *.name is all below it, :port a port beside 80 "
        "and 443.",
        examples=["docs.example.org,*.example.net,wiki.internal:8443"],
    )
    url_allowed_networks: Annotated[str, AfterValidator(_are_networks)] = Field(
        default="",
        description="Networks that are not public and that documents may be fetched from all the same, comma separated.",
        examples=["10.20.0.0/16"],
    )
    url_timeout_s: float = Field(
        default=30.0, gt=0, le=300, description="How long fetching a document may take, in seconds.", examples=[30]
    )

    @model_validator(mode="after")
    def _lists_some(self) -> Self:
        if self.url_ingestion is UrlIngestion.LISTED and not self.listed_hosts:
            raise ValueError("WAGGLE_URL_INGESTION=listed needs WAGGLE_URL_HOSTS, for example docs.example.org")
        return self

    @property
    def listed_hosts(self) -> tuple[ListedHost, ...]:
        return parse_hosts(self.url_hosts)

    @property
    def url_networks(self) -> tuple[Network, ...]:
        return parse_networks(self.url_allowed_networks)
