"""What every way of telling somebody has in common."""

from __future__ import annotations

from typing import Protocol

from observability.notifications.notification import Notification


class Notifier(Protocol):
    """Tells somebody, through one channel."""

    async def send(self, notification: Notification) -> str:
        """Deliver it, once; the caller limits the time, and tries again. Returns what the receiver said, in a few words.

        Raises `DeliveryError` when it was not delivered, as far as is known. Cancelled, it may have been delivered or not.
        """
        ...

    async def close(self) -> None:
        """Let go of what it holds."""
        ...
