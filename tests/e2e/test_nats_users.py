"""The local stack's broker lets in the stack's processes, commands on this host, and nobody else."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from contracts.settings import BrokerSettings
from deploy.local.access import admin_of
from deploy.local.layout import Layout
from deploy.local.nats_server import NatsServer
from deploy.nats.users import SERVICES
from messaging.broker import Broker
from messaging.errors import ConnectionRefusedByBrokerError
from messaging.provisioning import provision
from messaging.storage import Storage
from tests.e2e.waggle import LIGHT, Waggle

pytestmark = pytest.mark.timeout(1500)

BEFORE = "rag.events.document.ready.default"


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    """A stack on a data folder in which an earlier release, whose broker knew no users, has left something."""
    stack = Waggle(data_dir=tmp_path / "data", settings=LIGHT)
    with NatsServer(Layout(stack.data_dir).nats) as server:
        asyncio.run(_leave_something(server.url))
    stack.up("--replicas", "observer=1,operator=1")
    yield stack
    stack("down")


def test_processes_and_commands_are_let_in_each_as_its_own_user(waggle: Waggle, tmp_path: Path) -> None:
    layout = Layout(waggle.data_dir)
    file = tmp_path / "ferry.txt"
    file.write_text("The ferry from Arnsby leaves at twenty past seven in the evening.", encoding="utf-8")

    waggle("ingest", str(file))
    assert waggle.json("search", "ferry from Arnsby")["passages"]
    assert "everything is as it should be" in waggle("provision").stdout
    findings = waggle("doctor", code=None).stdout
    assert "streams, consumers and buckets are as they should be" in findings
    waggle("index", "check")
    waggle("backup", str(tmp_path / "backup"))

    assert asyncio.run(_left(waggle)) == 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in layout.nats_users.iterdir()} == {0o600}
    shown = {_environment(layout, name).get("WAGGLE_NATS_NKEY_SEED") for name in _programs(layout)}
    assert shown == {str(layout.nats_users / f"{user.name}.nk") for user in SERVICES}
    said = "".join(log.read_text(encoding="utf-8") for log in layout.logs.glob("*.log*"))
    assert "does not permit" not in said
    assert "Violation" not in said
    with pytest.raises(ConnectionRefusedByBrokerError):
        asyncio.run(_connected(BrokerSettings(nats_url=waggle.nats_url)))


async def _leave_something(url: str) -> None:
    broker = await _connected(BrokerSettings(nats_url=url))
    await provision(broker)
    await broker.publish_bytes(BEFORE, b"{}", stream="EVENTS", headers={"Nats-Msg-Id": "before", "Left": "yes"})
    await broker.close()


async def _left(waggle: Waggle) -> int:
    """How many of the messages of the earlier release are there."""
    broker = await _connected(admin_of(waggle.data_dir, waggle.nats_url))
    found = [stored async for stored in Storage(broker).every("EVENTS", BEFORE) if "Left" in stored.headers]
    await broker.close()
    return len(found)


async def _connected(settings: BrokerSettings) -> Broker:
    return await Broker.connect(settings, name="test", on_closed=lambda: None)


def _programs(layout: Layout) -> list[str]:
    return [file.stem for file in layout.pids() if file.stem != "nats"]


def _environment(layout: Layout, program: str) -> dict[str, str]:
    return psutil.Process(int(layout.pid(program).read_text(encoding="ascii"))).environ()
