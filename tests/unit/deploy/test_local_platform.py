"""The local stack as a platform: a real supervisord with programs of a few lines."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from contracts.platform_errors import ChangeTimeoutError, OutOfBoundsError, PlatformAwayError
from contracts.platforms import InstanceState
from deploy.local import ports, supervision
from deploy.local.addresses import Addresses, RunningStack
from deploy.local.layout import Layout
from deploy.local.lock import locked
from deploy.local.programs import Fleet, Group, Program
from deploy.local.stack import LocalStack
from deploy.local.supervision import Supervisor
from deploy.platforms import local
from deploy.platforms.local import LocalPlatform
from tests.unit.deploy.platform_contract import PlatformContract, has_begun, lives, one, running

PROGRAM = "trap 'sleep 0.1; echo finished; exit 0' TERM; echo begins; while :; do sleep 0.05; done"
DEAF = "trap '' TERM; echo begins; while :; do sleep 0.05; done"


@dataclass(frozen=True, kw_only=True)
class SmallFleet(Fleet):
    """Shell programs in the slots of embed and keeper, or of the services that are named."""

    script: str = PROGRAM
    services: tuple[str, ...] = ("embed", "keeper")

    def waggle_groups(self) -> tuple[Group, ...]:
        workers = tuple(p for service in self.services for p in self._replicated(service)[: self._room(service)])
        gateway = (self._waggle("gateway", "gateway", (), stop_wait_s=2),) if "gateway" in self.services else ()
        return (Group(name="workers", priority=50, programs=(*workers, *gateway)),)

    def _room(self, service: str) -> int:
        return {"embed": 3, "keeper": 2, "observer": 1}.get(service, 0)

    def _waggle(
        self, name: str, service: str, arguments: tuple[str, ...], *, stop_wait_s: float, spare: bool = False
    ) -> Program:
        return Program(
            name=name, service=service, command=("sh", "-c", self.script), stop_wait_s=stop_wait_s, spare=spare
        )


def unstarted(layout: Layout, **fleet) -> LocalStack:
    return LocalStack(
        layout,
        fleet=SmallFleet(drain_timeout_s=1, most_replicas=3, **fleet),
        addresses=Addresses(
            host="127.0.0.1", gateway_port=ports.free_port(), nats_url="nats://elsewhere:4222", nats_port=None
        ),
        environment={},
        provision=lambda: None,
    )


class LocalSite:
    """A stack of small programs, and the platform that changes it."""

    def __init__(self, folder: Path, **fleet) -> None:
        self.layout = Layout(folder / "data")
        self.stack = unstarted(self.layout, **fleet)
        self.platform = LocalPlatform(self.layout)
        self.stack.start(on_step=lambda _: None)

    async def end(self) -> None:
        await asyncio.to_thread(self.stack.stop)

    def expected(self) -> dict[str, int]:
        told = RunningStack.read(self.layout)
        assert told is not None
        return dict(told.expected)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[LocalSite]:
    made = LocalSite(tmp_path)
    yield made
    made.stack.stop()


class TestLocalPlatform(PlatformContract):
    pass


async def test_what_is_expected_follows_a_scaling(site: LocalSite) -> None:
    assert site.expected() == {"embed": 1, "keeper": 1}
    await site.platform.scale("embed", 3)
    assert site.expected() == {"embed": 3, "keeper": 1}
    await site.platform.stop("embed-2")
    assert site.expected() == {"embed": 2, "keeper": 1}


async def test_what_is_killed_is_still_expected(site: LocalSite) -> None:
    pid = (await one(site.platform, "embed-1")).pid
    assert pid is not None
    psutil.Process(pid).kill()
    await site.platform.scale("keeper", 2)

    assert site.expected() == {"embed": 1, "keeper": 2}


async def test_the_stack_starts_again_with_the_configured_number(site: LocalSite, tmp_path: Path) -> None:
    await site.platform.scale("embed", 3)
    await site.end()

    again = LocalSite(tmp_path)
    try:
        assert await running(again.platform, "embed") == ["embed-1"]
        assert again.expected() == {"embed": 1, "keeper": 1}
    finally:
        await again.end()


async def test_instances_carry_the_name_of_their_host_where_a_broker_is_shared(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, host_prefix="hive-")
    try:
        assert (await site.platform.start("hive-embed-2")).instance == "hive-embed-2"
    finally:
        await site.end()


async def test_the_gateway_is_one_and_stays_one(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, services=("gateway",))
    try:
        with pytest.raises(OutOfBoundsError, match="exactly 1") as refused:
            await site.platform.scale("gateway", 2)
        assert "WAGGLE_MAX_REPLICAS" not in str(refused.value)
        with pytest.raises(OutOfBoundsError, match="last gateway"):
            await site.platform.stop("gateway")
    finally:
        await site.end()


async def test_more_than_there_is_room_for_names_the_setting(site: LocalSite) -> None:
    with pytest.raises(OutOfBoundsError, match="WAGGLE_MAX_REPLICAS"):
        await site.platform.scale("embed", 9)


async def test_one_that_does_not_stop_is_killed_in_its_time(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, script=DEAF)
    try:
        await has_begun(site.platform, "embed-1")
        before = await one(site.platform, "embed-1")
        stopped = await site.platform.stop("embed-1")
    finally:
        await site.end()
    assert stopped.state is InstanceState.STOPPED
    assert not lives(before.pid)
    assert "SIGKILL" in stopped.reason


async def test_one_that_hangs_is_started_anew_without_its_time_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = LocalSite(tmp_path, script=DEAF)
    monkeypatch.setattr(local, "STOP_SLACK_S", -3.0)  # 3 s before the supervisor kills it
    try:
        await has_begun(site.platform, "embed-1")
        before = await one(site.platform, "embed-1")
        after = await site.platform.restart("embed-1", patience_s=0.1)
    finally:
        await site.end()
    assert after.state is InstanceState.RUNNING
    assert after.pid not in {None, before.pid}


async def test_a_stop_that_takes_too_long_is_said_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    site = LocalSite(tmp_path, script=DEAF)
    monkeypatch.setattr(local, "STOP_SLACK_S", -5.9)  # the supervisor kills after 6 s
    try:
        await has_begun(site.platform, "embed-1")
        with pytest.raises(ChangeTimeoutError, match="goes on"):
            await site.platform.stop("embed-1")
    finally:
        await site.end()


async def test_a_program_that_ends_again_and_again_can_be_stopped(tmp_path: Path) -> None:
    site = LocalSite(tmp_path, script="exit 3")
    try:
        stopped = await site.platform.stop("embed-1")
    finally:
        await site.end()
    assert stopped.state is InstanceState.STOPPED
    assert stopped.exit_code == 3 or stopped.reason == "terminated by SIGTERM"  # it may just have been started


async def test_a_supervisor_that_stands_still_is_not_waited_for(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervision, "CALL_S", 0.3)
    supervisor = psutil.Process(Supervisor(site.layout).pid())
    supervisor.suspend()
    try:
        with pytest.raises(PlatformAwayError):
            await site.platform.restart("embed-1")
    finally:
        supervisor.resume()


async def test_a_change_waits_for_that_of_another_command_but_not_for_ever(
    site: LocalSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    with locked(site.layout):
        waiting = asyncio.create_task(site.platform.scale("embed", 2))
        monkeypatch.setattr(local, "TURN_S", 0.0)
        with pytest.raises(ChangeTimeoutError, match="Nothing was changed"):
            await site.platform.scale("embed", 3)
        assert await running(site.platform, "embed") == ["embed-1"]
        waiting.cancel()
    monkeypatch.undo()
    await site.platform.scale("embed", 2)
    assert await running(site.platform, "embed") == ["embed-1", "embed-2"]
