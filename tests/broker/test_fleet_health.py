"""The health of a fleet as a real observer works it out of real heartbeats."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts.health import BackendCheck, CheckStatus
from contracts.settings import ObserverSettings, ProcessSettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from tests.support.commands import Command
from tests.support.gateways import Gateway
from tests.support.waiting import until
from tests.support.workers import running
from workers.observer.rhythm import Rhythm
from workers.observer.worker import build

WAIT_S = 60.0
SERVICES = ("embed", "retrieve", "generate", "ingest", "keeper")
BACKENDS = {
    "embed": ("index", "encoder"),
    "retrieve": ("index", "encoder"),
    "generate": ("generator",),
    "ingest": ("uploads",),
}


class Backends:
    """What the checks of all workers say."""

    def __init__(self) -> None:
        self.failing = set[str]()

    def check(self, name: str) -> Callable[[], Any]:
        async def look() -> BackendCheck:
            if name in self.failing:
                raise ConnectionError(f"{name} is away")
            return BackendCheck(name=name, status=CheckStatus.OK, latency_ms=1.5)

        return look


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.2)
    monkeypatch.setattr("messaging.intake.JUDGE_INTERVAL_S", 0.2)
    monkeypatch.setattr("messaging.intake.LOOK_INTERVAL_S", 0.2)
    monkeypatch.setattr("workers.observer.health.JUDGE_INTERVAL_S", 0.2)
    monkeypatch.setattr("workers.observer.health.WARM_UP_S", 0.0)


@pytest.fixture
def backends() -> Backends:
    return Backends()


def worker(service: str, nats_server: NatsServer, tmp_path: Path, backends: Backends) -> WorkerApp:
    settings = ProcessSettings(nats_url=nats_server.url, data_dir=tmp_path, instance=f"{service}-1")
    app = WorkerApp(settings, service=service)
    app._parts.checks._interval_s = 0.2  # made before this test could make it brisk
    for name in BACKENDS.get(service, ()):
        app.check(name, backends.check(name))
    return app


def observer(nats_server: NatsServer, tmp_path: Path, *, rules: Path | None = None) -> WorkerApp:
    settings = ObserverSettings(
        nats_url=nats_server.url,
        data_dir=tmp_path,
        instance="observer-1",
        observer_port=0,
        shipped_rules=False,
        rules="" if rules is None else str(rules),
        rule_interval_s=1,
    )
    rhythm = Rhythm(warm_up_s=0, look_s=0.5, poll_s=0.5, candidacy_s=0.2, settle=timedelta())
    return build(settings, rhythm=rhythm)


@asynccontextmanager
async def fleet(
    nats_server: NatsServer, tmp_path: Path, backends: Backends, services: tuple[str, ...] = SERVICES
) -> AsyncIterator[None]:
    if not services:
        yield
        return
    first = running(worker(services[0], nats_server, tmp_path, backends))
    async with first, fleet(nats_server, tmp_path, backends, services[1:]):
        yield


async def health(gateway: Gateway, **parameters: str) -> dict[str, Any]:
    response = await gateway.http.get("/v1/health", params=parameters)
    return dict(response.json()) if response.status_code == 200 else {"status": response.text}


async def becomes(gateway: Gateway, status: str) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def is_so() -> bool:
        nonlocal found
        found = await health(gateway)
        return bool(found["status"] == status)

    await until(is_so, timeout_s=WAIT_S, what=f"the fleet is {status}")
    return found


def components(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in found["components"]}


async def test_a_fleet_is_healthy_until_a_backend_fails_and_that_is_remembered(
    gateway: Gateway, nats_server: NatsServer, tmp_path: Path, backends: Backends
) -> None:
    waggle = Command(environment={"WAGGLE_URL": gateway.url})
    async with fleet(nats_server, tmp_path, backends):
        async with running(observer(nats_server, tmp_path)):
            well = components(await becomes(gateway, "healthy"))
            assert well["index"]["latency_ms"] == 1.5
            assert well["broker"]["latency_ms"] > 0
            assert (await waggle("health")).code == 0

            backends.failing.add("index")
            ill = components(await becomes(gateway, "unhealthy"))
            assert ill["index"]["status"] == "unhealthy"
            assert any("index is away" in each["detail"] for each in ill["index"]["instances"])
            impacted = {name for name, each in ill.items() if each["impacted_by"] == ["index"]}
            assert impacted == {"embed", "retrieve", "ingest", "gateway", "keeper"}
            assert ill["retrieve"]["status"] == "healthy"
            ran = await waggle("health", "--json")
            assert (ran.code, ran.json["status"]) == (1, "unhealthy")

            backends.failing.clear()
            await becomes(gateway, "healthy")
            tree = {item["component"]: item for item in (await waggle("graph", "--json")).json["items"]}
            assert {*tree["index"]["needed_by"]} == {"embed", "retrieve"}

        async with running(observer(nats_server, tmp_path)):  # another one on the same store
            await becomes(gateway, "healthy")
            changes = (await health(gateway, since="0"))["changes"]
            of_index = [(each["before"], each["after"]) for each in changes if each["component"] == "index"]
            assert ("healthy", "unhealthy") in of_index
            assert ("unhealthy", "healthy") in of_index


async def test_of_a_service_that_nobody_heard_of_nothing_is_known(
    gateway: Gateway, nats_server: NatsServer, tmp_path: Path, backends: Backends
) -> None:
    async with running(observer(nats_server, tmp_path)), fleet(nats_server, tmp_path, backends, SERVICES[:-1]):
        found = await becomes(gateway, "unknown")

        async def keeper_only() -> bool:
            nonlocal found
            found = await health(gateway)
            return bool(found.get("detail") == "unknown: keeper")

        await until(keeper_only, timeout_s=WAIT_S, what="only of the keeper nothing is known")
        assert components(found)["keeper"]["detail"] == "no process of it was heard of"


RULES = """
groups:
- name: fleet
  interval: 200ms
  rules:
  - alert: Root
    expr: vector(1)
    labels: {severity: critical, component: broker, dependency: cause}
  - alert: Victim
    expr: vector(1)
    labels: {severity: critical, component: query, dependency: symptom}
  - alert: Other
    expr: vector(1)
    labels: {severity: critical, component: host}
"""


async def test_an_alert_on_what_only_suffers_is_listed_as_inhibited_by_the_root(
    gateway: Gateway, nats_server: NatsServer, tmp_path: Path
) -> None:
    (tmp_path / "rules.yaml").write_text(RULES, encoding="utf-8")
    waggle = Command(environment={"WAGGLE_URL": gateway.url})
    async with running(observer(nats_server, tmp_path, rules=tmp_path / "rules.yaml")):

        async def firing() -> dict[str, dict[str, Any]]:
            response = await gateway.http.get("/v1/alerts", params={"state": "firing"})
            items = response.json()["items"] if response.status_code == 200 else []
            return {alert["rule"]: alert for alert in items}

        async def all_fire() -> bool:
            return (await firing()).keys() == {"Root", "Victim", "Other"}

        await until(all_fire, timeout_s=WAIT_S)
        found = await firing()
        assert found["Victim"]["inhibited_by"] == [found["Root"]["fingerprint"]]
        assert (found["Root"]["inhibited_by"], found["Other"]["inhibited_by"]) == ([], [])
        assert "(inhibited)" in (await waggle("alerts", "ls")).out
