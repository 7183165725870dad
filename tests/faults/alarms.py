"""A stack under test with an observer beside it, and what that observer raises and tells people."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import yaml

from contracts import subjects, topology
from contracts.alerts import AlertEvent
from contracts.deadletters import DeadLetter
from deploy.local.nats_server import NatsServer
from messaging.alert_events import MOST_EVENTS, AlertEvents
from messaging.storage import Storage
from tests.faults.link import Link, link_to
from tests.faults.scale import Scale
from tests.faults.stack import Stack, running
from tests.support.observers import notification_config, told
from tests.support.receivers import HttpReceiver
from tests.support.waiting import until
from workers.observer.worker import SHIPPED_RULES

OBSERVER: Final = "observer-1"
NOTICED_S: Final = 15.0
"""How soon a death has to be told."""
HASTENED_FOR: Final = "10s"
HASTENED_WINDOW: Final = "[1m]"
LONG_WINDOW: Final = re.compile(r"\[(5|10)m\]")
ALERT_TIMEOUT_S: Final = 120.0
ALWAYS: Final = "Watchdog"
MOST_LETTERS: Final = 16


@dataclass(kw_only=True)
class Alarms:
    """Reads alerts from the broker, where the observer publishes them, and notifications where they arrive: over no broker."""

    stack: Stack
    receiver: HttpReceiver
    link: Link
    """Between the observer and the broker."""
    timeout_s: float = ALERT_TIMEOUT_S

    async def events(self, name: str = "", **labels: str) -> list[AlertEvent]:
        """All so far, in their order; of this alert and with these labels, if they are given."""
        page = await AlertEvents(self.stack.broker).alerts(names=(name,) if name else (), limit=MOST_EVENTS)
        return [event for event in page.events if event.name != ALWAYS and labels.items() <= event.labels.items()]

    async def raised(self) -> set[str]:
        """Names of the alerts that fired so far."""
        return {event.name for event in await self.events() if event.is_firing}

    async def letters(self) -> list[str]:
        """What was given up and why, the first so many."""
        kept = Storage(self.stack.broker).every(topology.DLQ.name, f"{subjects.DEAD_LETTERS}.>", limit=MOST_LETTERS)
        letters = [DeadLetter.from_bytes(stored.data) async for stored in kept]
        return [f"{each.subject} after {each.attempts} attempts, {each.code}: {each.reason}" for each in letters]

    def told(self) -> list[tuple[str, str]]:
        """What people were told so far: `firing` or `resolved`, and the name of the alert."""
        return [(status, name) for status, name in told(self.receiver) if name != ALWAYS]

    def notified(self) -> set[str]:
        """Names of the alerts that people were told of so far."""
        return {name for _, name in self.told()}

    async def told_of(self, name: str, *, over: bool) -> None:
        """Wait until people were told of an alert, or that it is over."""
        wanted = ("resolved" if over else "firing", name)
        await until(lambda: wanted in self.told(), timeout_s=self.timeout_s, what=f"people are told: {wanted}")

    async def is_firing(self, name: str, **labels: str) -> bool:
        events = await self.events(name, **labels)
        return bool(events) and events[-1].is_firing

    async def fires(self, name: str, **labels: str) -> float:
        """Wait until an alert fires; after how many seconds it did."""
        return await self._takes(lambda: self.is_firing(name, **labels), f"{name} {labels} fires")

    async def fired(self, name: str) -> float:
        """Wait until an alert fires, or has fired."""

        async def seen() -> bool:
            return name in await self.raised()

        return await self._takes(seen, f"{name} fires")

    async def resolves(self, name: str, **labels: str) -> float:
        """Wait until an alert that fired is over; after how many seconds it was."""

        async def over() -> bool:
            return not await self.is_firing(name, **labels)

        return await self._takes(over, f"{name} {labels} is over")

    async def _takes(self, condition: Callable[[], Awaitable[bool]], what: str) -> float:
        begun = time.monotonic()
        await until(condition, timeout_s=self.timeout_s, what=f"{what}: {self.stack.fleet.log_tail(OBSERVER)}")
        return time.monotonic() - begun

    async def evaluates(self) -> None:
        """Wait until the observer leads and people are told what it finds."""
        heard = len(self.receiver.received)
        await until(
            lambda: len(self.receiver.received) > heard,
            timeout_s=self.timeout_s,
            what=f"the observer tells that it is there: {self.stack.fleet.log_tail(OBSERVER)}",
        )


@asynccontextmanager
async def watched(
    *,
    seed: int,
    scale: Scale,
    without: tuple[str, ...] = (),
    hastened: Collection[str] = (),
    settings: Mapping[str, str] | None = None,
    server: NatsServer | None = None,
) -> AsyncIterator[Alarms]:
    """A started stack whose observer leads and goes by the shipped rules. Unless times are those of production, alerts that
    are `hastened` fire after seconds and look back a minute.
    """
    with TemporaryDirectory(prefix="waggle-alarms-") as name:
        folder = Path(name)
        async with HttpReceiver.running() as receiver:
            (folder / "notify.yaml").write_text(notification_config(receiver), encoding="utf-8")
            rules = hastened_rules(folder / "rules", () if scale.as_in_production else hastened)
            own = {
                "WAGGLE_OBSERVER_PORT": "0",
                "WAGGLE_RULES": str(rules),
                "WAGGLE_SHIPPED_RULES": "off",
                "WAGGLE_NOTIFY_CONFIG": str(folder / "notify.yaml"),
                "WAGGLE_NOTIFY_ALLOWED_NETWORKS": "127.0.0.1/32",
            }
            async with running(
                seed=seed, scale=scale, without=without, settings=own | dict(settings or {}), server=server
            ) as stack:
                assert stack.server.port is not None
                async with link_to(stack.server.port) as link:
                    alarms = Alarms(stack=stack, receiver=receiver, link=link)
                    stack.fleet.start(OBSERVER, "observer", WAGGLE_NATS_URL=link.url)
                    await stack.fleet.ready(OBSERVER)
                    await alarms.evaluates()
                    yield alarms


def hastened_rules(folder: Path, hastened: Collection[str]) -> Path:
    """A new folder with the shipped rules, of which these alerts are hastened."""
    folder.mkdir()
    for file in SHIPPED_RULES.glob("*.yaml"):
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        for rule in (rule for group in document["groups"] for rule in group["rules"]):
            if rule.get("alert") in hastened:
                _hasten(rule)
        (folder / file.name).write_text(yaml.safe_dump(document), encoding="utf-8")
    return folder


def _hasten(rule: dict[str, Any]) -> None:
    if "for" in rule:
        rule["for"] = HASTENED_FOR
    rule["expr"] = LONG_WINDOW.sub(HASTENED_WINDOW, rule["expr"])
