"""The operator works with its own user at the broker, which may do nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contracts import subjects, topology
from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import CommandOutcome
from contracts.settings import BrokerSettings, ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from deploy.nats.permissions import operator_permissions, users
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.configuration import ConfigBook
from messaging.errors import BrokerUnavailableError
from messaging.recovery import CommandDesk
from messaging.storage import Storage
from tests.support.platforms import MemoryPlatform, slots
from tests.support.recovery import KEY, command, operating
from tests.support.waiting import until
from tests.support.workers import running

ANSWER_S = 60.0
SECRET = "secret"
OPERATOR: dict[str, Any] = {"nats_user": "operator", "nats_password": SecretStr(SECRET)}
ALL: dict[str, Any] = {"nats_user": "all", "nats_password": SecretStr(SECRET)}


@pytest.fixture
def nats_server(tmp_path: Path) -> Iterator[NatsServer]:
    given = users({"all": (SECRET, None), "operator": (SECRET, operator_permissions())})
    with NatsServer(tmp_path / "nats", extra_config=given) as server:
        yield server


@pytest.fixture
def broker_settings(nats_server: NatsServer) -> BrokerSettings:
    return BrokerSettings(nats_url=nats_server.url, **ALL)


@pytest.fixture
async def limited(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Broker]:
    """Connected as the operator."""
    settings = BrokerSettings(nats_url=nats_server.url, publish_timeout_s=1, **OPERATOR)
    connected = await Broker.connect(settings, name="operator", on_closed=lambda: None)
    try:
        yield connected
    finally:
        await connected.close()


async def test_it_does_everything_that_it_can_be_ordered(
    broker: Broker, nats_server: NatsServer, tmp_path: Path, table: Topology
) -> None:
    platform = MemoryPlatform(*slots("retrieve", running=2, of=3), *slots("embed", running=1))
    await ConfigBook(broker).change({"top_k": 3}, principal="ada", because="a test")
    settings = ProcessSettings(nats_url=nats_server.url, instance="retrieve-1", data_dir=tmp_path / "r", **ALL)
    retrieve = WorkerApp(settings, service="retrieve", table=table)
    retrieve.forgets(lambda: 1)
    desk = CommandDesk(broker, KEY)

    async def outcome(action: Act, name: str, service: str, **fields) -> str:
        given = await desk.issue(command(action, name, service, now=broker.clock.now(), **fields))
        result = await desk.result(given.id, timeout_s=ANSWER_S)
        return f"{action.value} {result.outcome.value}" + (
            "" if result.outcome is CommandOutcome.DONE else result.detail
        )

    async with (
        operating(nats_server.url, tmp_path, platform, table=table, listen_s=3.5, cache="nats", **OPERATOR),
        running(retrieve),
    ):
        done = [
            await outcome(Act.RESTART_SERVICE, "retrieve-1", "retrieve"),
            await outcome(Act.CLEAR_CACHE, "retrieve", "retrieve"),
            await outcome(Act.SCALE_UP, "embed", "embed", replicas=1),
            await outcome(Act.FAILOVER, "generator", "generate", standby=True),
            await outcome(Act.ROLLBACK, "runtime", "generate", revision=1),
        ]
        refused = await outcome(Act.SCALE_DOWN, "retrieve", "retrieve", replicas=1)
        await broker.publish_bytes(
            f"{subjects.RECOVERY_COMMANDS}.nonsense", b"{}", stream=topology.OPS.name, headers={"Nats-Msg-Id": "n"}
        )
        await until(lambda: Storage(broker).count(topology.DLQ.name, "rag.dlq.OPS.*"), what="a dead letter")

    assert done == [
        "restart_service done",
        "clear_cache done",
        "scale_up done",
        "failover done",
        "rollback done",
    ]
    assert "too many" in refused
    log = nats_server.log_file.read_text(encoding="utf-8")
    assert "Violation" not in log, [line for line in log.splitlines() if "Violation" in line]


async def test_it_can_publish_no_request_and_no_command(
    limited: Broker, broker: Broker, nats_server: NatsServer
) -> None:
    order = KEY.sign(command(Act.RESTART_SERVICE, "embed-1", "embed", now=broker.clock.now()))
    forbidden = {
        subjects.ingest_request("t"): topology.INGEST,
        subjects.query_request("t"): topology.QUERY,
        subjects.recovery_command(order.target): topology.OPS,
        subjects.recovery_approval("decision-1"): topology.OPS,
    }

    for subject, stream in forbidden.items():
        with pytest.raises(BrokerUnavailableError):
            await limited.publish(subject, order, stream=stream, message_id=order.id)

    log = nats_server.log_file.read_text(encoding="utf-8")
    for subject, stream in forbidden.items():
        assert f'user:operator" - Publish Violation - Subject "{subject}"' in log
        assert await Storage(broker).size(stream.name) == (0, 0)


@pytest.mark.parametrize("stream", ["OBJ_uploads", "KV_documents", "KV_apikeys", "QUERY", "ANSWERS"])
async def test_it_can_read_neither_documents_nor_questions(limited: Broker, broker: Broker, stream: str) -> None:
    assert await Storage(broker).last(stream, ">") is None
    with pytest.raises(BrokerUnavailableError):
        await Storage(limited).last(stream, ">")


async def test_it_hears_no_answers(limited: Broker) -> None:
    refused: list[Exception] = []

    async def hear(error: Exception) -> None:
        refused.append(error)

    limited.nc._error_cb = hear
    await limited.nc.subscribe(f"{subjects.ANSWERS}.>")
    await limited.nc.flush()

    await until(lambda: refused, what="a refusal of the server")
    assert "permissions violation" in str(refused[0]).lower()
