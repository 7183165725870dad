"""The operator works with its own user at the broker, which may do nothing else."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contracts import subjects, topology
from contracts.diagnoses import RecommendedAction as Act
from contracts.recovery import CommandOutcome
from contracts.settings import BrokerSettings, ProcessSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from messaging.configuration import ConfigBook
from messaging.errors import NotPermittedError
from messaging.recovery import CommandDesk
from messaging.storage import Storage
from tests.support.nats_users import Guarded, guarded, refused
from tests.support.platforms import MemoryPlatform, slots
from tests.support.recovery import KEY, command, operating
from tests.support.waiting import until
from tests.support.workers import running

ANSWER_S = 60.0


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(tmp_path) as broker:
        yield broker


@pytest.fixture
def nats_server(guarded_broker: Guarded) -> NatsServer:
    return guarded_broker.server


@pytest.fixture
def broker_settings(guarded_broker: Guarded) -> BrokerSettings:
    return guarded_broker.settings("admin")


@pytest.fixture
async def limited(broker: Broker, guarded_broker: Guarded) -> AsyncIterator[Broker]:
    """Connected as the operator."""
    settings = guarded_broker.settings("operator", publish_timeout_s=1)
    connected = await Broker.connect(settings, name="operator", on_closed=lambda: None)
    try:
        yield connected
    finally:
        await connected.close()


async def test_it_does_everything_that_it_can_be_ordered(
    broker: Broker, guarded_broker: Guarded, tmp_path: Path, table: Topology
) -> None:
    url = guarded_broker.server.url
    platform = MemoryPlatform(*slots("retrieve", running=2, of=3), *slots("embed", running=1))
    await ConfigBook(broker).change({"top_k": 3}, principal="ada", because="a test")
    shown = guarded_broker.shown("retrieve")
    settings = ProcessSettings(nats_url=url, instance="retrieve-1", data_dir=tmp_path / "r", **shown)
    retrieve = WorkerApp(settings, service="retrieve", table=table)
    retrieve.forgets(lambda: 1)
    shown = guarded_broker.shown("observer")
    observer = await Broker.connect(BrokerSettings(nats_url=url, **shown), name="observer", on_closed=lambda: None)
    desk = CommandDesk(observer, KEY)

    async def outcome(action: Act, name: str, service: str, **fields) -> str:
        given = await desk.issue(command(action, name, service, now=broker.clock.now(), **fields))
        result = await desk.result(given.id, timeout_s=ANSWER_S)
        return f"{action.value} {result.outcome.value}" + (
            "" if result.outcome is CommandOutcome.DONE else result.detail
        )

    async with (
        operating(url, tmp_path, platform, table=table, listen_s=3.5, cache="nats", **guarded_broker.shown("operator")),
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
        await observer.publish_bytes(
            f"{subjects.RECOVERY_COMMANDS}.nonsense", b"{}", stream=topology.OPS.name, headers={"Nats-Msg-Id": "n"}
        )
        await until(lambda: Storage(broker).count(topology.DLQ.name, "rag.dlq.OPS.*"), what="a dead letter")
    await observer.close()

    assert done == [
        "restart_service done",
        "clear_cache done",
        "scale_up done",
        "failover done",
        "rollback done",
    ]
    assert "too many" in refused
    assert guarded_broker.violations() == []


async def test_it_can_publish_no_request_and_no_command(limited: Broker, broker: Broker) -> None:
    order = KEY.sign(command(Act.RESTART_SERVICE, "embed-1", "embed", now=broker.clock.now()))
    forbidden = {
        subjects.ingest_request("t"): topology.INGEST,
        subjects.query_request("t"): topology.QUERY,
        subjects.recovery_command(order.target): topology.OPS,
        subjects.recovery_approval("decision-1"): topology.OPS,
    }

    for subject, stream in forbidden.items():
        with pytest.raises(NotPermittedError, match=re.escape(subject)):
            await limited.publish(subject, order, stream=stream, message_id=order.id)
        assert await Storage(broker).size(stream.name) == (0, 0)


@pytest.mark.parametrize("stream", ["OBJ_uploads", "KV_documents", "KV_apikeys", "QUERY", "ANSWERS"])
async def test_it_can_read_neither_documents_nor_questions(limited: Broker, broker: Broker, stream: str) -> None:
    assert await Storage(broker).last(stream, ">") is None
    with pytest.raises(NotPermittedError):
        await Storage(limited).last(stream, ">")
    with pytest.raises(NotPermittedError):
        await Storage(limited).following(stream, ">")


async def test_it_hears_no_answers(limited: Broker) -> None:
    assert await refused(limited, "subscribe", f"{subjects.ANSWERS}.>")
