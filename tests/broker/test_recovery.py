"""The fleet repairs itself on a real broker: an observer that decides, an operator that acts, and processes that only tell."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import subjects
from contracts.health import Heartbeat, ProcessState
from contracts.recovery import (
    CommandOutcome,
    RecoveryCommand,
    RecoveryDecision,
    RecoveryResult,
    RecoveryVerification,
    Safeguard,
    Target,
    TargetKind,
    Verdict,
    Verified,
)
from contracts.recovery_views import RecoveryEvent
from contracts.settings import ObserverSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.provisioning import provision
from messaging.recovery.audit import RecoveryLog
from messaging.recovery.pausing import PauseSwitch
from tests.support.commands import Command
from tests.support.gateways import Gateway
from tests.support.observers import table as quick_table
from tests.support.platforms import MemoryPlatform, slots
from tests.support.recovery import key_file, operating
from tests.support.waiting import until
from tests.support.workers import running
from tests.unit.observability.recovery.fleet import acted, evidence
from workers.observer.answering import answering
from workers.observer.diagnosing import diagnosing
from workers.observer.recovery import recovering
from workers.observer.rhythm import Rhythm
from workers.observer.term import Duty
from workers.observer.worker import Parts, build

WAIT_S = 60.0
BEAT_S = 0.2
RHYTHM = Rhythm(warm_up_s=1.0, look_s=0.2, poll_s=0.2, candidacy_s=0.2, diagnose_s=0.5, settle=timedelta())
POLICY = """
limits:
  evaluation_interval: 5s
  platform_patience: 1s
  starting_patience: 2s
  settling: 1s
  blast_window: 1s
  command_expires: 20s
  healthy_for: 1s
ladders:
  service_unavailable:
  - {action: restart_service, mode: auto, healthy_for: 1s, verify_within: 30s}
"""
PEOPLE = {"embed": 3, "retrieve": 2, "keeper": 1}


class Fleet:
    """Processes that tell heartbeats, and nothing else; one that is `mute` hangs until the platform starts it anew."""

    def __init__(self, broker: Broker, platform: MemoryPlatform) -> None:
        self._broker = broker
        self._platform = platform
        self._begun_at = broker.clock.now() - timedelta(minutes=10)
        self._restarted: dict[str, int] = {}
        self.mute: set[str] = set()

    async def run(self) -> None:
        while True:
            for service, number in PEOPLE.items():
                for n in range(1, number + 1):
                    await self._tell(service, f"{service}-{n}")
            await asyncio.sleep(BEAT_S)

    async def _tell(self, service: str, instance: str) -> None:
        restarts = self._platform.changes.count(f"restart {instance}")
        if restarts != self._restarted.get(instance, 0):
            self._restarted[instance] = restarts
            self.mute.discard(instance)
        if instance not in self.mute:
            beat = self._beat(service, instance, restarts)
            await self._broker.nc.publish(subjects.health(service, instance), beat.to_bytes())

    def _beat(self, service: str, instance: str, restarts: int) -> Heartbeat:
        now = self._broker.clock.now()
        return Heartbeat(
            created_at=now,
            service=service,
            instance=instance,
            host="host",
            version="1.0",
            pid=1000 + restarts,
            started_at=self._begun_at + timedelta(seconds=restarts),
            state=ProcessState.READY,
            in_flight=0,
            progress=1,
            rss_bytes=1,
            cpu_s=0.0,
        )


@pytest.fixture(autouse=True)
def brisk(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "messaging.running.BEAT_INTERVAL_S": BEAT_S,
        "messaging.intake.JUDGE_INTERVAL_S": 0.2,
        "messaging.intake.LOOK_INTERVAL_S": 0.5,
        "observability.intake.processes.DEAD_AFTER_S": 3.0,
    }.items():
        monkeypatch.setattr(name, value)


@pytest.fixture
def table() -> Topology:
    return quick_table()


@pytest.fixture
def platform() -> MemoryPlatform:
    placed = [each for service, number in PEOPLE.items() for each in slots(service, running=number)]
    return MemoryPlatform(*placed)


@pytest.fixture
async def fleet(broker: Broker, platform: MemoryPlatform) -> AsyncIterator[Fleet]:
    fleet = Fleet(broker, platform)
    telling = asyncio.create_task(fleet.run())
    yield fleet
    telling.cancel()
    await asyncio.gather(telling, return_exceptions=True)


@pytest.fixture
async def operator(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, platform: MemoryPlatform, table: Topology
) -> AsyncIterator[None]:
    async with operating(nats_server.url, tmp_path, platform, table=table, listen_s=2 * BEAT_S):
        yield


@asynccontextmanager
async def observing(
    nats_server: NatsServer, folder: Path, table: Topology, platform: MemoryPlatform, **settings: Any
) -> AsyncIterator[Parts]:
    policy = folder / "recovery.yaml"
    policy.write_text(POLICY, encoding="utf-8")
    given = {
        "nats_url": nats_server.url,
        "data_dir": folder / "observer",
        "instance": "observer-1",
        "observer_port": 0,
        "shipped_rules": False,
        "recovery_policy": policy,
        "recovery_key_file": key_file(folder),
    }
    known: list[Parts] = []

    def remember(parts: Parts) -> Duty:
        known.append(parts)
        return lambda _: asyncio.Event().wait()

    duties = (answering, diagnosing, recovering, remember)
    app = build(ObserverSettings(**{**given, **settings}), table=table, rhythm=RHYTHM, platform=platform, duties=duties)
    async with running(app):
        named = {f"{service}-{n + 1}" for service, number in PEOPLE.items() for n in range(number)}
        await until(lambda: named <= {seen.beat.instance for seen in known[0].intake.heard().processes})
        yield known[0]


class Audit:
    """What was recorded so far."""

    def __init__(self, broker: Broker) -> None:
        self._log = RecoveryLog(broker)

    async def events(self) -> list[RecoveryEvent]:
        return list((await self._log.events(limit=200)).events)

    async def verdicts(self, instance: str) -> list[Verdict]:
        decisions = [each for each in await self.events() if isinstance(each, RecoveryDecision)]
        return [each.verdict for each in decisions if each.target is not None and each.target.name == instance]

    async def safeguards(self) -> set[Safeguard | None]:
        return {each.safeguard for each in await self.events() if isinstance(each, RecoveryDecision)}

    async def verified(self) -> list[Verified]:
        return [each.verified for each in await self.events() if isinstance(each, RecoveryVerification)]


@pytest.fixture
def audit(broker: Broker) -> Audit:
    return Audit(broker)


async def test_an_instance_that_hangs_is_started_anew_and_that_is_verified_and_shown(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
    gateway: Gateway,
) -> None:
    async with observing(nats_server, tmp_path, table, platform):
        fleet.mute.add("embed-2")

        async def recovered() -> bool:
            return Verified.RECOVERED in await audit.verified()

        await until(recovered, timeout_s=WAIT_S)
        assert platform.changes == ["restart embed-2"]
        events = await audit.events()
        results = [each for each in events if isinstance(each, RecoveryResult)]
        assert [each.outcome for each in results] == [CommandOutcome.DONE]
        assert "embed-2 says its last words" in results[0].captured
        assert len({each.incident for each in events}) == 1
        waggle = Command(environment={"WAGGLE_URL": gateway.url})
        (incident,) = (await waggle("incidents", "--json")).json["items"]
        told = (await waggle("incidents", incident["id"])).out
        assert "embed-2" in told
        assert "restart" in told


async def test_while_repairs_are_paused_nothing_is_done_and_then_it_is(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
    broker: Broker,
) -> None:
    switch = PauseSwitch(broker)
    await switch.pause("a deploy", timedelta(hours=1), principal="test")
    async with observing(nats_server, tmp_path, table, platform):
        fleet.mute.add("embed-2")

        async def held() -> bool:
            return Safeguard.PAUSED in await audit.safeguards()

        await until(held, timeout_s=WAIT_S)
        assert platform.changes == []
        await switch.resume(principal="test")
        await until(lambda: platform.changes == ["restart embed-2"], timeout_s=WAIT_S)


async def test_nothing_is_decided_while_it_is_not_known_where_somebody_is_at_work(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
    broker: Broker,
) -> None:
    await broker.js.delete_stream("KV_silences")
    async with observing(nats_server, tmp_path, table, platform) as parts:
        fleet.mute.add("embed-2")
        view, found = None, 0
        async with asyncio.timeout(WAIT_S):
            while found < 4:
                view = await parts.diagnoses.newer_than(view)
                found += any(each.subject.instance == "embed-2" for each in view.items)
        assert await audit.events() == []
        await provision(broker, table)
        await until(lambda: platform.changes == ["restart embed-2"], timeout_s=WAIT_S)


async def test_without_a_key_it_is_only_said_what_would_be_done(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
) -> None:
    async with observing(nats_server, tmp_path, table, platform, recovery_key_file=None):
        fleet.mute.add("embed-2")

        async def said() -> bool:
            return Verdict.DRY_RUN in await audit.verdicts("embed-2")

        await until(said, timeout_s=WAIT_S)
    assert platform.changes == []


async def test_when_half_the_fleet_is_silent_at_once_the_observer_suspects_itself(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
) -> None:
    async with observing(nats_server, tmp_path, table, platform):
        fleet.mute |= {"embed-1", "embed-2", "retrieve-1", "retrieve-2"}

        async def held() -> bool:
            return Safeguard.QUORUM in await audit.safeguards()

        await until(held, timeout_s=WAIT_S)
    assert platform.changes == []


async def test_whoever_leads_next_goes_on_with_what_was_done(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
) -> None:
    async with observing(nats_server, tmp_path, table, platform):
        fleet.mute.add("embed-2")
        await until(lambda: platform.changes == ["restart embed-2"], timeout_s=WAIT_S)
    async with observing(nats_server, tmp_path, table, platform, instance="observer-2"):

        async def recovered() -> bool:
            return Verified.RECOVERED in await audit.verified()

        await until(recovered, timeout_s=WAIT_S)
    assert platform.changes == ["restart embed-2"]


async def test_what_somebody_else_wrote_down_as_decided_is_not_ordered(
    nats_server: NatsServer,
    table: Topology,
    tmp_path: Path,
    platform: MemoryPlatform,
    fleet: Fleet,
    operator: None,
    audit: Audit,
    broker: Broker,
) -> None:
    now = broker.clock.now()
    one = acted(Target(kind=TargetKind.INSTANCE, name="retrieve-1", service="retrieve"), ago=0)
    forged = one.model_copy(update={"created_at": now, "evidence": (evidence(at=now),)})
    eternal = datetime.max.replace(tzinfo=UTC)
    others = [
        {**forged.model_dump(mode="json"), "id": "of-nothing", "target": None},
        {**forged.model_dump(mode="json"), "id": "of-the-future", "created_at": eternal.isoformat()},
    ]
    for data in (forged.to_bytes(), *(json.dumps(each).encode() for each in others)):
        await broker.nc.publish(subjects.recovery_decision(forged.incident), data)
    async with observing(nats_server, tmp_path, table, platform):
        fleet.mute.add("embed-2")

        async def recovered() -> bool:
            return Verified.RECOVERED in await audit.verified()

        await until(recovered, timeout_s=WAIT_S)
    assert platform.changes == ["restart embed-2"]
    commands = [each for each in await audit.events() if isinstance(each, RecoveryCommand)]
    assert [each.target.name for each in commands] == ["embed-2"]
