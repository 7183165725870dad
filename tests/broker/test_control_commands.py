"""`waggle pause|resume|drain|stacks`, as people run them, with a worker that is a process of its own."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contracts.health import ProcessState
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.fleet import FleetView
from tests.support.commands import Command, Ran
from tests.support.gateways import Gateway
from tests.support.processes import Running, started
from tests.support.purges import left, send
from tests.support.topologies import brisk
from tests.support.waiting import until
from tests.support.worker_process import HANDLER_VARIABLE


@pytest.fixture
def table() -> Topology:
    """With an ack wait that no busy machine makes a process miss: what is delivered twice then is by a defect."""
    return brisk(ack_wait_s=30)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def waggle(nats_server: NatsServer, data: Path) -> Command:
    return Command(environment={"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_DATA_DIR": str(data), "LOGNAME": "ada"})


def worker_environment(nats_server: NatsServer, data: Path, instance: str, *, takes_s: float) -> dict[str, str]:
    return {
        "WAGGLE_NATS_URL": nats_server.url,
        "WAGGLE_DATA_DIR": str(data),
        "WAGGLE_INSTANCE": instance,
        HANDLER_VARIABLE: str(takes_s),
    }


@pytest.fixture
async def process(broker: Broker, nats_server: NatsServer, data: Path) -> AsyncIterator[Running]:
    environment = worker_environment(nats_server, data, "tested-1", takes_s=0.005)
    async with started("tests.support.worker_process", **environment) as process:
        await process.says("ready")
        yield process


async def test_a_worker_is_paused_while_messages_flow_and_goes_on(
    broker: Broker, waggle: Command, process: Running
) -> None:
    enough, names = asyncio.Event(), list[str]()

    async def keep_sending() -> None:
        while not enough.is_set():
            names.append(f"d{len(names)}")
            await asyncio.gather(send(broker, names[-1]), asyncio.sleep(0.02))  # what waits has to be done at the end

    sending = asyncio.create_task(keep_sending())
    await process.says("done d20")

    paused = await waggle("pause", "tested-1", "--because", "a look at its host", "--json")
    assert (paused.code, paused.json["outcome"], paused.json["state"]) == (0, "done", "paused")
    drained = await waggle("drain", "tested-1")
    assert (drained.code, drained.out) == (
        0,
        "tested-1 (tested) is paused: it takes nothing more from purge, and has nothing in hand.\n",
    )
    done = len(process.lines)
    paused_at = len(names)
    await until(lambda: len(names) > paused_at + 20)
    enough.set()
    await sending
    view = FleetView(broker)
    await view.start()
    await until(lambda: bool(view.members()))
    await view.stop()
    assert view.members()[0].heartbeat.state is ProcessState.PAUSED
    assert (len(process.lines), view.members()[0].heartbeat.in_flight) == (done, 0)

    resumed = await waggle("resume", "tested-1")
    assert resumed.out == "tested-1 (tested) is ready: it takes work from purge again.\n"

    async def nothing_is_left() -> bool:
        return await left(broker) == 0

    await until(nothing_is_left)
    assert Counter(line for line in process.lines if line.startswith("done")) == Counter(f"done {n}" for n in names)
    assert any("a look at its host" in line and "ada@" in line for line in process.lines)

    process.signal(signal.SIGTERM)
    assert await process.ends() == 0


async def test_all_of_a_service_are_ordered_at_once(
    waggle: Command, nats_server: NatsServer, data: Path, process: Running
) -> None:
    environment = worker_environment(nats_server, data, "tested-2", takes_s=0.005)
    async with started("tests.support.worker_process", **environment) as second:
        await second.says("ready")
        drained = await waggle("drain", "tested")
        assert (drained.code, drained.out.splitlines()) == (
            0,
            [
                f"tested-{n} (tested) is paused: it takes nothing more from purge, and has nothing in hand."
                for n in (1, 2)
            ],
        )
        resumed = await waggle("resume", "tested", "--json")
        assert {(each["instance"], each["outcome"]) for each in resumed.json["items"]} == {
            ("tested-1", "done"),
            ("tested-2", "done"),
        }


async def test_one_of_a_service_that_is_not_heard_is_named(
    nats_server: NatsServer, data: Path, process: Running, gateway: Gateway
) -> None:
    waggle = Command(environment={"WAGGLE_NATS_URL": nats_server.url, "WAGGLE_URL": gateway.url})
    environment = worker_environment(nats_server, data, "tested-2", takes_s=0.005)
    async with started("tests.support.worker_process", **environment) as second:
        await second.says("ready")

        async def both_are_known() -> bool:
            return len((await gateway.http.get("/v1/fleet", params={"service": "tested"})).json()["items"]) == 2

        await until(both_are_known)
        second.signal(signal.SIGSTOP)
        paused = await waggle("pause", "tested")
        second.signal(signal.SIGCONT)

    assert paused.code == 1
    assert paused.out.startswith("tested-1 (tested) is paused")
    assert "tested-2 is not heard, and was told nothing" in paused.err


async def test_the_stacks_of_a_worker_are_shown_and_kept_also_when_its_loop_hangs(
    waggle: Command, process: Running, data: Path
) -> None:
    shown, unknown, told = await asyncio.gather(
        waggle("stacks", "tested-1"), waggle("stacks", "tseted-1"), waggle("stacks", "tested-1", "--json")
    )
    kept = data / "logs" / "tested-tested-1.stacks"
    assert shown.code == 0
    assert "Thread MainThread" in shown.out
    assert "Task heartbeats" in shown.out
    assert str(kept) in shown.err.replace("\n", "")
    assert "Task heartbeats" in told.json["evidence"]
    assert (unknown.code, "There are: tested-1" in unknown.err) == (2, True)

    before = kept.stat().st_size
    process.signal(signal.SIGUSR1)
    await until(lambda: kept.stat().st_size > before)
    assert "(most recent call first)" in kept.read_text()[before:]
    assert process.process.returncode is None


async def test_an_order_that_is_not_carried_out_ends_with_a_reason(
    broker: Broker, nats_server: NatsServer, waggle: Command, data: Path
) -> None:
    environment = worker_environment(nats_server, data, "tested-1", takes_s=3600)
    async with started("tests.support.worker_process", **environment) as process:
        await process.says("ready")
        await send(broker, "a")
        await process.says("started a")
        ran: Ran = await waggle("drain", "tested-1", "--deadline", "1")
        assert ran.code == 1
        assert "tested-1: unfinished: it stays paused; 1 message in hand" in ran.err
        as_json = await waggle("drain", "tested-1", "--deadline", "1", "--json")
        assert (as_json.code, as_json.json["outcome"], as_json.json["in_flight"]) == (1, "unfinished", 1)
