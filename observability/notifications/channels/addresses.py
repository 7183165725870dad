"""Which addresses a notification may be sent to."""

from __future__ import annotations

from typing import Final

from contracts.settings_source import variable
from observability.notifications.errors import DeliveryError
from observability.outgoing import HostNotFoundError, HostRefusedError, PublicAddresses

ALLOWED_SETTING: Final = variable("notify_allowed_networks")


class AddressGuard(PublicAddresses):
    """What is no address for a notification is a delivery that failed: for good, or until the name leads somewhere."""

    async def addresses(self, host: str, port: int) -> list[str]:
        try:
            return await super().addresses(host, port)
        except HostRefusedError as error:
            raise DeliveryError(f"{error}; if it is meant, add its network to {ALLOWED_SETTING}", final=True) from error

    async def resolved(self, host: str, port: int) -> list[str]:
        try:
            return await super().resolved(host, port)
        except HostNotFoundError as error:
            raise DeliveryError(str(error)) from error
