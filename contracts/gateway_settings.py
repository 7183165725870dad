"""Settings of the gateway."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from contracts.process_settings import ProcessSettings

MaxPendingDocuments = Annotated[int, Field(ge=1)]


class Auth(StrEnum):
    KEYS = "keys"
    DEVELOPMENT = "development"


class GatewaySettings(ProcessSettings):
    """The HTTP gateway."""

    auth: Auth = Field(
        default=Auth.DEVELOPMENT,
        description="Who is let in: whoever shows an API key (keys), or everybody on this host (development, on loopback only).",
        examples=["keys"],
    )
    gateway_host: str = Field(default="127.0.0.1", description="Address to listen on.", examples=["127.0.0.1"])
    gateway_port: int = Field(default=8080, ge=0, le=65535, description="Port to listen on.", examples=[8080])
    upload_max_bytes: int = Field(
        default=100 * 1024 * 1024, ge=1024, description="Largest upload, in bytes.", examples=[104857600]
    )
    max_pending_documents: MaxPendingDocuments = Field(
        default=10_000,
        description="Documents that may wait to be read; beyond, new ones are refused (429).",
        examples=[10000],
    )
