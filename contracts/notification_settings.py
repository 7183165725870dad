"""Settings of notifications: where the file of routes is, and which networks they may go to."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from contracts.networks import Network, parse_networks
from contracts.settings_source import Settings


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
