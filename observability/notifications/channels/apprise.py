"""The services that the library apprise knows, with the extra `apprise`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from observability.notifications.channels.addresses import AddressGuard
from observability.notifications.configuration import AppriseModel
from observability.notifications.errors import DeliveryError
from observability.notifications.notification import Notification
from observability.notifications.rendering.text import plain_text
from observability.notifications.rendering.words import headline

if TYPE_CHECKING:
    from apprise import Apprise, NotifyBase

INSTALL = "pip install 'waggle-rag[apprise]'"


class AppriseNotifier:
    """Apprise connects on its own: a host that an address names is judged before, but not pinned.

    It tells only that something failed: every failure is in doubt, and tried again for all of the channel's addresses.
    """

    def __init__(self, model: AppriseModel, guard: AddressGuard) -> None:
        self._model = model
        self._guard = guard

    async def send(self, notification: Notification) -> str:
        services = await asyncio.to_thread(self._services)  # the library takes seconds to load, at the first time
        for service in services:
            await self._judge(service)
        done = await services.async_notify(
            title=headline(notification),
            body=plain_text(notification),
            notify_type="failure" if notification.firing else "success",
        )
        if not done:
            raise DeliveryError("a service of apprise failed; it does not say why", in_doubt=True)
        return f"taken by {len(services)} services"

    async def close(self) -> None:
        await self._guard.close()

    def _services(self) -> Apprise:
        try:
            from apprise import Apprise
        except ImportError as error:
            raise DeliveryError(f"the library apprise is not installed: {INSTALL}", final=True) from error
        services = Apprise()
        for reference in self._model.urls:
            if not services.add(reference.read()):
                raise DeliveryError(f"what is in {reference} is no address of apprise", final=True)
        return services

    async def _judge(self, service: NotifyBase) -> None:
        host = getattr(service, "host", None)
        if host:
            await self._guard.addresses(host, getattr(service, "port", None) or 443)
