"""What nobody answers, since no leader has been elected yet, is sent again where that does no harm."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.aio.msg import Msg

from contracts import subjects, topology
from messaging import repeating
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError
from messaging.jetstream_api import JetStreamApi

REQUEST = "TEST.GREETING"


@pytest.fixture(autouse=True)
def asked_anew_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating, "AGAIN_S", 0.05)


async def test_a_request_that_is_not_answered_is_asked_anew(broker: Broker) -> None:
    heard: list[dict[str, int]] = []

    async def leader(message: Msg) -> None:
        heard.append(json.loads(message.data))
        if len(heard) == 3:
            await message.respond(b'{"greeting": "hum"}')

    await broker.nc.subscribe(f"$JS.API.{REQUEST}", cb=leader)
    assert await JetStreamApi(broker).ask(REQUEST, "INGEST", {"to": 1}) == {"greeting": "hum"}
    assert heard == [{"to": 1}] * 3


async def test_a_broker_that_cannot_do_it_now_is_asked_anew(broker: Broker) -> None:
    asked = []

    async def without_leader(message: Msg) -> None:
        asked.append(message)
        error = {"code": 503, "err_code": 10008, "description": "JetStream system temporarily unavailable"}
        await message.respond(json.dumps({"error": error} if len(asked) == 1 else {"greeting": "hum"}).encode())

    await broker.nc.subscribe(f"$JS.API.{REQUEST}", cb=without_leader)
    assert await JetStreamApi(broker).told(REQUEST, "INGEST") == {"greeting": "hum"}


async def test_nobody_is_waited_for_longer_than_the_publish_time_out(broker: Broker) -> None:
    async def follower(_: Msg) -> None:
        """Does not answer."""

    await broker.nc.subscribe(f"$JS.API.{REQUEST}", cb=follower)
    broker.publish_timeout_s = 0.2
    async with asyncio.timeout(60):
        with pytest.raises(BrokerUnavailableError, match=r"INGEST cannot be read: no answer within 0\.2 s"):
            await JetStreamApi(broker).ask(REQUEST, topology.INGEST.name)


async def test_an_error_in_the_answer_says_what_is_amiss(broker: Broker) -> None:
    with pytest.raises(BrokerUnavailableError, match="NOWHERE cannot be read: it is not there, run `waggle provision`"):
        await JetStreamApi(broker).told("STREAM.INFO.NOWHERE", "NOWHERE")


class Leader:
    """Stores nothing of what comes before it is elected, without a word."""

    def __init__(self, *, deaf_to: int) -> None:
        self._deaf_to = deaf_to
        self.heard: list[str] = []

    async def hear(self, message: Msg) -> None:
        self.heard.append((message.headers or {}).get(subjects.HEADER_MESSAGE_ID, ""))
        if len(self.heard) > self._deaf_to:
            await message.respond(b'{"stream": "INGEST", "seq": 7}')


async def test_a_message_that_is_not_acknowledged_is_sent_again_with_its_id(broker: Broker) -> None:
    leader = Leader(deaf_to=2)
    await broker.nc.subscribe("test.message", cb=leader.hear)
    headers = {subjects.HEADER_MESSAGE_ID: "m1"}
    assert (await broker.publish_bytes("test.message", b"hum", stream="INGEST", headers=headers)).seq == 7
    assert leader.heard == ["m1"] * 3


async def test_a_message_without_an_id_might_be_stored_twice_and_is_sent_once(broker: Broker) -> None:
    leader = Leader(deaf_to=1)
    await broker.nc.subscribe("test.message", cb=leader.hear)
    broker.publish_timeout_s = 0.3
    with pytest.raises(BrokerUnavailableError, match="not acknowledged"):
        await broker.publish_bytes("test.message", b"hum", stream="INGEST")
    assert leader.heard == [""]
