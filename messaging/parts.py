"""What a worker consists of."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from contracts import topology
from contracts.settings import ProcessSettings
from messaging.activity import Activity
from messaging.binding import Binding
from messaging.breakers import Breakers
from messaging.broker import Broker
from messaging.checks import Checks
from messaging.control.duties import Forget, Reread
from observability.telemetry import Telemetry

Hook = Callable[[], Awaitable[None]]


@dataclass(kw_only=True)
class Parts:
    """As declared, and what it comes to while it runs."""

    settings: ProcessSettings
    service: str
    table: topology.Topology
    restores: bool = False
    bindings: list[Binding] = field(default_factory=list)
    startup: list[Hook] = field(default_factory=list)
    shutdown: list[Hook] = field(default_factory=list)
    background: list[tuple[str, Hook]] = field(default_factory=list)
    checks: Checks = field(default_factory=Checks)
    breakers: Breakers = field(default_factory=Breakers)
    activity: Activity = field(default_factory=Activity)
    facts: dict[str, str] = field(default_factory=dict)
    beat: Hook | None = None
    caches: list[Forget] = field(default_factory=list)
    rereads: list[Reread] = field(default_factory=list)
    broker: Broker | None = None
    telemetry: Telemetry | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
