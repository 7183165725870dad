"""A real stack: a worker that hangs is restarted by a signed command, and what it was doing is kept."""

from __future__ import annotations

import asyncio
import signal
import stat
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import LONGEST_ACTION_S, CommandOutcome
from deploy.local.access import BrokerAccess
from deploy.local.layout import Layout
from deploy.platforms.local import LocalPlatform
from messaging.broker import Broker
from messaging.recovery import CommandDesk, RecoveryKey
from tests.e2e.waggle import LIGHT, Waggle
from tests.support.recovery import command
from tests.support.waiting import until

pytestmark = pytest.mark.timeout(1500)

SETTINGS = {**LIGHT, "WAGGLE_DRAIN_TIMEOUT_S": "3"}


@pytest.fixture
async def waggle(tmp_path: Path) -> AsyncIterator[Waggle]:
    stack = Waggle(data_dir=tmp_path / "data", settings=SETTINGS)
    await asyncio.to_thread(stack.up, "--replicas", "operator=1")
    yield stack
    await asyncio.to_thread(stack, "down")


@pytest.fixture
async def broker(waggle: Waggle) -> AsyncIterator[Broker]:
    """As the observer, who alone may give commands."""
    settings = BrokerAccess(Layout(waggle.data_dir)).settings(waggle.nats_url, user="observer")
    connected = await Broker.connect(settings, name="test", on_closed=lambda: None)
    yield connected
    await connected.close()


def member(waggle: Waggle, instance: str) -> dict[str, Any]:
    items = waggle.json("status", code=None)["items"]
    return next(each for each in items if each["instance"] == instance)


async def test_a_worker_that_hangs_is_restarted(waggle: Waggle, broker: Broker) -> None:
    layout = Layout(waggle.data_dir)
    platform = LocalPlatform(layout)
    hanging = next(each for each in await platform.list() if each.instance == "retrieve-1")
    assert hanging.pid is not None
    psutil.Process(hanging.pid).send_signal(signal.SIGSTOP)
    await until(
        lambda: asyncio.to_thread(lambda: member(waggle, "retrieve-1")["stale"]), timeout_s=300, what="it is silent"
    )

    assert stat.S_IMODE(layout.recovery_key.stat().st_mode) == 0o600
    desk = CommandDesk(broker, RecoveryKey.read(layout.recovery_key))
    order = command(Act.RESTART_SERVICE, "retrieve-1", "retrieve", now=broker.clock.now(), expires_s=60)
    given = await desk.issue(order)
    result = await desk.result(given.id, timeout_s=LONGEST_ACTION_S)

    assert result.outcome is CommandOutcome.DONE, result.detail
    assert f"process {hanging.pid} → " in result.detail
    assert "it is silent" in result.captured
    assert "its process is stopped" in result.captured
    assert "retrieve: Standing(" in result.captured
    assert "ready" in result.captured.partition("== log")[2]

    async def serves() -> bool:
        found = await asyncio.to_thread(member, waggle, "retrieve-1")
        return found["state"] == "ready" and not found["stale"]

    await until(serves, timeout_s=300, what="retrieve-1 is ready again")
    after = next(each for each in await platform.list() if each.instance == "retrieve-1")
    assert after.pid not in {None, hanging.pid}


async def test_a_command_with_evidence_of_an_earlier_process_is_refused(waggle: Waggle, broker: Broker) -> None:
    desk = CommandDesk(broker, RecoveryKey.read(Layout(waggle.data_dir).recovery_key))
    now = broker.clock.now()
    order = command(Act.RESTART_SERVICE, "embed-1", "embed", now=now, evidence_at=now - timedelta(hours=1))

    given = await desk.issue(order)

    assert (await desk.result(given.id, timeout_s=LONGEST_ACTION_S)).outcome is CommandOutcome.REFUSED
