"""Settings of the index as a server."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, field_validator, model_validator

from contracts.secrets import ApiKey
from contracts.settings_source import Settings

_NAME = re.compile(r"[A-Za-z0-9._-]+")


class WeaviateSettings(Settings):
    """How to reach Weaviate, where chunks are searched with `WAGGLE_INDEX=weaviate`."""

    weaviate_url: str = Field(
        default="http://127.0.0.1:8081",
        description="Weaviate's HTTP address; https turns TLS on for gRPC, too.",
        examples=["https://weaviate.example"],
    )
    weaviate_grpc_port: int = Field(
        default=50051, ge=1, le=65535, description="Weaviate's gRPC port.", examples=[50051]
    )
    weaviate_grpc_host: str | None = Field(
        default=None,
        description="Host of the gRPC port; unset takes that of the URL.",
        examples=["grpc.weaviate.example"],
    )
    weaviate_standby_url: str | None = Field(
        default=None,
        description="Another HTTP address of the same cluster, as of another node or data centre, which is used instead when "
        "the configuration says so (`active_index`), by recovery, too.",
        examples=["https://weaviate-2.example"],
    )
    weaviate_standby_grpc_port: int | None = Field(
        default=None, ge=1, le=65535, description="gRPC port there; unset takes the other one.", examples=[50051]
    )
    weaviate_standby_grpc_host: str | None = Field(
        default=None,
        description="Host of the gRPC port there; unset takes that of the URL.",
        examples=["grpc.weaviate-2.example"],
    )
    weaviate_api_key: ApiKey = Field(
        default=None, description="Weaviate's API key; unset connects without one.", examples=["…"]
    )
    weaviate_collection: str = Field(
        default="Waggle",
        pattern=r"^[A-Z][A-Za-z0-9_]{0,63}$",
        description="Collection that holds the chunks of all tenants.",
        examples=["Waggle"],
    )
    weaviate_consistency: Literal["one", "quorum", "all"] = Field(
        default="quorum",
        description="How many copies must confirm a write or answer a read, in a Weaviate cluster.",
        examples=["quorum"],
    )
    weaviate_timeout_s: float = Field(
        default=10.0, gt=0, description="How long Weaviate may take to answer a search.", examples=[10]
    )
    weaviate_write_timeout_s: float = Field(
        default=60.0, gt=0, description="How long Weaviate may take for a batch of writes.", examples=[60]
    )

    @field_validator("weaviate_url", "weaviate_standby_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        if url is None:
            return None
        url = url.strip()
        parts = urlsplit(url)
        if "@" in url:
            raise ValueError("give the key in WAGGLE_WEAVIATE_API_KEY instead")
        bare = f"{parts.scheme}://{parts.netloc}"
        if (
            parts.scheme not in {"http", "https"}
            or not _is_host(parts.hostname)
            or url.lower()
            not in {
                bare.lower(),
                f"{bare}/".lower(),
            }
        ):
            raise ValueError("must be http:// or https:// with a host, a port if it is not the usual one, and no path")
        if not _has_good_port(parts):
            raise ValueError("has a port that is no number from 1 to 65535")
        return bare

    @model_validator(mode="after")
    def _has_another_standby(self) -> Self:
        beside = self.at_standby()
        if beside is not None and beside.weaviate_address == self.weaviate_address:
            raise ValueError("WAGGLE_WEAVIATE_STANDBY_URL has to be another address than WAGGLE_WEAVIATE_URL")
        return self

    @property
    def weaviate_address(self) -> tuple[str, int, str | None]:
        return self.weaviate_url, self.weaviate_grpc_port, self.weaviate_grpc_host

    @field_validator("weaviate_grpc_host", "weaviate_standby_grpc_host")
    @classmethod
    def _is_a_host(cls, host: str | None) -> str | None:
        if host is not None and not _is_host(host.strip().strip("[]")):
            raise ValueError(
                "must be a host alone, without scheme, port and path: the port is WAGGLE_WEAVIATE_GRPC_PORT"
            )
        return host.strip().strip("[]") if host else None

    def at_standby(self) -> Self | None:
        """The same settings with the standby's address in the place of the usual one; None: there is no standby."""
        if self.weaviate_standby_url is None:
            return None
        return self.model_copy(
            update={
                "weaviate_url": self.weaviate_standby_url,
                "weaviate_grpc_port": self.weaviate_standby_grpc_port or self.weaviate_grpc_port,
                "weaviate_grpc_host": self.weaviate_standby_grpc_host,
            }
        )


def _is_host(host: str | None) -> bool:
    """Whether this is a name or an address of a host, as names are resolved."""
    try:
        encoded = (host or "").encode("idna").decode()
    except UnicodeError:  # a part of it is empty, or too long
        return False
    return _NAME.fullmatch(encoded) is not None or _is_ipv6(encoded)


def _is_ipv6(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _has_good_port(parts: SplitResult) -> bool:
    try:
        return parts.port != 0 and not parts.netloc.endswith(":")
    except ValueError:
        return False
