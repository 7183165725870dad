"""Settings of notifications: where the file of routes is, and which networks they may go to."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

from pydantic import Field, field_validator

from contracts.settings_source import Settings

Network = IPv4Network | IPv6Network


class NotificationSettings(Settings):
    """Who is told of alerts."""

    notify_config: Path | None = Field(
        default=None,
        description="File of routes, receivers and channels of notifications; unset tells nobody.",
        examples=["/etc/waggle/notifications.yaml"],
    )
    notify_allowed_networks: str = Field(
        default="",
        description="Networks that are not public and that webhooks may go to all the same, comma separated.",
        examples=["10.20.0.0/16,127.0.0.1/32"],
    )

    @field_validator("notify_allowed_networks")
    @classmethod
    def _are_networks(cls, text: str) -> str:
        parse_networks(text)
        return text

    @property
    def allowed_networks(self) -> tuple[Network, ...]:
        return parse_networks(self.notify_allowed_networks)


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks as `10.0.0.0/8,fd00::/8`. Raises `ValueError` that names the one that is none."""
    return tuple(_network(part.strip()) for part in text.split(",") if part.strip())


def _network(text: str) -> Network:
    try:
        return ip_network(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is not a network: {error}") from error
