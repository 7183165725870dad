"""Settings that every process of the fleet has: the broker, local state, and what it is among its replicas."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, field_validator

from contracts.settings_source import Settings

_BROKER_SCHEMES = ("nats", "tls")


def _default_instance() -> str:
    host = "".join(c if c.isalnum() or c in "-_" else "-" for c in socket.gethostname())
    return f"{host[:96]}-{os.getpid()}"


class BrokerSettings(Settings):
    """How to reach NATS."""

    nats_url: str = Field(
        default="nats://127.0.0.1:4222",
        description="Broker addresses, comma separated, without user names and passwords.",
        examples=["tls://nats-1:4222,tls://nats-2:4222"],
    )
    nats_user: str | None = Field(default=None, description="User name.", examples=["waggle"])
    nats_password: SecretStr | None = Field(default=None, description="Password.", examples=["…"])
    nats_token: SecretStr | None = Field(default=None, description="Token.", examples=["…"])
    nats_credentials: Path | None = Field(
        default=None, description="Credentials file (JWT and seed).", examples=["/etc/waggle/worker.creds"]
    )
    nats_nkey_seed: Path | None = Field(default=None, description="NKey seed file.", examples=["/etc/waggle/worker.nk"])
    nats_inbox_prefix: str | None = Field(
        default=None,
        pattern=r"^_INBOX[A-Za-z0-9_-]{0,140}$",
        description="What the subjects of replies to this process begin with, where its user may subscribe to no others. "
        "Unset: _INBOX.",
        examples=["_INBOX_embed"],
    )
    nats_tls_ca: Path | None = Field(default=None, description="CA file.", examples=["/etc/waggle/ca.pem"])
    nats_tls_cert: Path | None = Field(
        default=None, description="Client certificate.", examples=["/etc/waggle/client.pem"]
    )
    nats_tls_key: Path | None = Field(default=None, description="Client key.", examples=["/etc/waggle/client-key.pem"])
    publish_timeout_s: float = Field(
        default=5.0, gt=0, description="How long to wait for the broker to store a message.", examples=[5]
    )
    replicas: int | None = Field(
        default=None,
        description="Copies of every stream and bucket in a NATS cluster: 1, 3 or 5. Unset leaves them as they are.",
        examples=[3],
    )

    @field_validator("nats_url")
    @classmethod
    def _holds_no_secret(cls, url: str) -> str:
        """Addresses are shown everywhere: in messages, logs and the file that tells where a stack runs."""
        if "@" in url:
            raise ValueError("give user name and password in WAGGLE_NATS_USER and WAGGLE_NATS_PASSWORD instead")
        return url

    @field_validator("nats_url")
    @classmethod
    def _is_of_a_broker(cls, url: str) -> str:
        """The client takes any scheme, and waits for ever for what nobody serves."""
        addresses = [address.strip() for address in url.split(",") if address.strip()]
        if not addresses:
            raise ValueError("give at least one address")
        for address in addresses:
            scheme, separator, _ = address.partition("://")
            if separator and scheme not in _BROKER_SCHEMES:
                raise ValueError(f"{address!r} does not begin with nats:// or tls://")
        return url

    @field_validator("replicas")
    @classmethod
    def _is_odd(cls, replicas: int | None) -> int | None:
        if replicas not in (None, 1, 3, 5):
            raise ValueError("must be 1, 3 or 5: an even number survives no more losses than one less")
        return replicas


class StateSettings(Settings):
    """Where local state is kept."""

    data_dir: Path = Field(
        default=Path(".waggle"), description="Local state: broker store, index, logs.", examples=["/var/lib/waggle"]
    )


class ProcessSettings(BrokerSettings, StateSettings):
    """What every process of the fleet has."""

    instance: str = Field(
        default_factory=_default_instance,
        pattern=r"^[A-Za-z0-9_-]{1,128}$",
        description="Identity of this process among its replicas.",
        examples=["embed-1"],
        json_schema_extra={"shown": "host name and process id"},
    )
    track: str = Field(
        default="stable",
        pattern=r"^(stable|canary)$",
        description="Release track: stable or canary.",
        examples=["stable"],
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged.", examples=["info"]
    )
    log_format: Literal["auto", "text", "json"] = Field(
        default="auto", description="auto (text on a terminal, else json), text or json.", examples=["json"]
    )
    telemetry: bool = Field(
        default=True,
        description="Whether the process tells what it measures, and exports what the OTEL_ variables ask for.",
        examples=["off"],
    )
    probe_interval_s: float = Field(
        default=30.0,
        ge=1,
        description="How often a backend that nobody uses is probed with a small piece of real work.",
        examples=[30],
    )
    drain_timeout_s: float = Field(
        default=25.0, gt=0, description="On SIGTERM, how long work in hand may take to finish.", examples=[25]
    )
    stuck_after_s: float | None = Field(
        default=None,
        gt=0,
        description="How long a worker with work may finish none before it counts as stuck. Unset: a little longer than its "
        "handlers may take.",
        examples=[900],
    )
