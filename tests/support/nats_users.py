"""A broker that lets in the users of the platform only, and connections as any of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from contracts.settings import BrokerSettings
from deploy.local.nats_server import NatsServer
from deploy.nats.configuration import accounts, text, users
from deploy.nats.grants import inbox
from deploy.nats.seeds import Seeds
from messaging.broker import Broker

TENANTS = ("acme", "globex")


@dataclass
class Guarded:
    """The server, and how each user is let in."""

    server: NatsServer
    seeds: Seeds

    def shown(self, user: str) -> dict[str, Any]:
        """The settings by which a process shows that it is this user."""
        return {"nats_nkey_seed": self.seeds.file(user), "nats_inbox_prefix": inbox(user)}

    def settings(self, user: str, **more: Any) -> BrokerSettings:
        return BrokerSettings(nats_url=self.server.url, **self.shown(user), **more)

    def violations(self) -> list[str]:
        """What the server has refused so far."""
        lines = self.server.log_file.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if "Violation" in line]


@contextmanager
def guarded(folder: Path) -> Iterator[Guarded]:
    """A server with all users, those of two tenants' programs among them."""
    seeds, given = Seeds(folder / "seeds"), users(TENANTS)
    seeds.ensure(given)
    with NatsServer(folder / "nats", extra_config=text(accounts(given, seeds))) as server:
        yield Guarded(server, seeds)


@dataclass
class Connections:
    """Connections as users, opened when they are asked for and closed together."""

    broker: Guarded
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)
    _known: dict[str, Broker] = field(default_factory=dict)

    async def of(self, user: str) -> Broker:
        if user not in self._known:
            settings = self.broker.settings(user, publish_timeout_s=2)
            broker = self._known[user] = await Broker.connect(settings, name=user, on_closed=lambda: None)
            self._opened.push_async_callback(broker.close)
        return self._known[user]

    async def close(self) -> None:
        await self._opened.aclose()


@asynccontextmanager
async def connections(broker: Guarded) -> AsyncIterator[Connections]:
    opened = Connections(broker)
    try:
        yield opened
    finally:
        await opened.close()


async def refused(broker: Broker, operation: str, subject: str, *, reply: str = "") -> bool:
    """Whether the server refuses this user to publish or subscribe there: it says so before it answers a ping."""
    before = broker.refusals.counts[operation]
    if operation == "publish":
        await broker.nc.publish(subject, b"{}", reply=reply)
    else:
        await broker.nc.subscribe(subject)
    await broker.nc.flush()  # its ping may overtake what waits to be sent, so there is another one
    await broker.nc.flush()
    return broker.refusals.counts[operation] > before
