"""Settings of what one key, tenant or address may ask for, and of whose word about addresses is believed."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator, Field

from contracts.rate_limits import RateLimit
from contracts.settings_source import Settings


def _are_networks(text: str) -> str:
    for each in filter(None, map(str.strip, text.split(","))):
        try:
            ipaddress.ip_network(each)
        except ValueError as error:
            raise ValueError(f"{each!r} is no address and no network: {error}") from None
    return text


class LimitSettings(Settings):
    """What callers may ask of the gateway."""

    key_rate_limit: RateLimit = Field(
        default="",
        description="Requests that may be made with one API key, together at all gateways; an API key's own goes before. None by "
        "default.",
        examples=["20/10s,300/m,5000/h"],
    )
    tenant_rate_limit: RateLimit = Field(
        default="",
        description="Requests of one tenant, likewise; what is agreed with a tenant (`waggle tenants`) goes before. None by default.",
        examples=["100/10s,2000/m"],
    )
    address_rate_limit: RateLimit = Field(
        default="",
        description="Requests from one address (of IPv6 one /64), with or without a key, likewise. None by default.",
        examples=["200/10s"],
    )
    trusted_proxies: Annotated[str, AfterValidator(_are_networks)] = Field(
        default="",
        description="Addresses or networks of proxies before the gateway, comma separated, whose word about whose request they "
        "pass on (`X-Forwarded-For`) is believed. None by default.",
        examples=["10.0.0.0/8,192.168.1.7"],
    )
    tenant_max_documents: int | None = Field(
        default=None,
        ge=0,
        description="Documents that one tenant may have; what is agreed with it goes before. No limit by default.",
        examples=[100000],
    )
    tenant_max_bytes: int | None = Field(
        default=None,
        ge=0,
        description="Bytes that the originals of a tenant's documents may have together, likewise.",
        examples=[10737418240],
    )
    max_requests: int = Field(
        default=1000,
        ge=1,
        description="Requests that a gateway has in hand at once, streams among them; beyond, they are refused (503).",
        examples=[1000],
    )

    @property
    def proxies(self) -> list[str]:
        """Whose word about addresses is believed."""
        return list(filter(None, map(str.strip, self.trusted_proxies.split(","))))
