"""Settings of the gateway."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

from contracts.limit_settings import LimitSettings
from contracts.process_settings import ProcessSettings
from contracts.token_settings import TokenSettings
from contracts.url_settings import UrlSettings

MaxPendingDocuments = Annotated[int, Field(ge=1)]


class Auth(StrEnum):
    KEYS = "keys"
    DEVELOPMENT = "development"


_PORTS = {"http": 80, "https": 443}


def _are_origins(text: str) -> str:
    for origin in filter(None, map(str.strip, text.split(","))):
        parts = urlsplit(origin)
        if (
            parts.scheme not in _PORTS
            or f"{parts.scheme}://{parts.netloc}" != origin
            or "@" in origin
            or not parts.hostname
        ):
            raise ValueError(f"{origin!r} is no origin: scheme, host and port, nothing else, and no wildcards")
        if origin != origin.lower() or parts.port == _PORTS[parts.scheme]:
            raise ValueError(f"{origin!r} is not as browsers say it: in lower case, and without the usual port")
        if "*" in origin:
            raise ValueError(f"{origin!r} has a wildcard: name each origin")
    return text


class GatewaySettings(UrlSettings, LimitSettings, TokenSettings, ProcessSettings):
    """The HTTP gateway."""

    auth: Auth = Field(
        default=Auth.KEYS,
        description="Who is let in: whoever shows an API key (keys), or everybody on this host (development, on loopback only).",
        examples=["development"],
    )
    gateway_host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["127.0.0.1"])
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.", examples=[8080])
    cors_origins: Annotated[str, AfterValidator(_are_origins)] = Field(
        default="",
        description="Whose pages may use this gateway from a browser, comma separated, with WAGGLE_AUTH=keys. None by default.",
        examples=["https://app.example,http://localhost:3000"],
    )
    access_log: bool = Field(
        default=True,
        description="Whether each request is logged in one line: method, route, status, duration, bytes, principal, tenant, address.",
        examples=["false"],
    )
    upload_max_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1024, description="Largest upload, in bytes.", examples=[104857600]
    )
    max_pending_documents: MaxPendingDocuments = Field(
        default=10_000,
        description="Documents that may wait to be read; beyond, new ones are refused (429).",
        examples=[10000],
    )

    max_wait_s: float | None = Field(
        default=None,
        gt=0,
        description="Longest that a question may wait before work on it begins, in seconds; what would wait longer is refused (429). "
        "As long as its deadline allows by default.",
        examples=[0.5],
    )

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Whose pages may use this gateway from a browser."""
        return tuple(filter(None, map(str.strip, self.cors_origins.split(","))))
