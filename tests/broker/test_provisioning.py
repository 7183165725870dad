"""The broker is made to match the table, and nothing stored is lost on the way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from nats.js import api

from contracts import subjects, topology
from contracts.identifiers import new_id
from contracts.settings import BrokerSettings
from contracts.topology import Topology
from deploy.local.nats_server import NatsServer
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError, ProvisioningError, StreamFullError
from messaging.provisioning import provision
from tests.support.purges import send
from tests.support.waiting import until

STREAMS = len(topology.STREAMS) + len(topology.KEY_VALUES) + len(topology.OBJECT_BUCKETS)


def with_stream(table: Topology, stream: topology.Stream) -> Topology:
    """The table with the stream of that name replaced."""
    return replace(table, streams=tuple(stream if s.name == stream.name else s for s in table.streams))


@pytest.fixture
async def bare(broker_settings: BrokerSettings) -> Broker:
    """A broker on which nothing is provisioned."""
    return await Broker.connect(broker_settings, name="test", on_closed=lambda: None)


class TestApplying:
    async def test_all_is_created_and_a_second_time_nothing_is_done(self, bare: Broker, table: Topology) -> None:
        assert len(await provision(bare, table)) == STREAMS + len(table.consumers)
        assert await provision(bare, table) == []
        assert {s.config.name for s in await bare.js.streams_info()} >= {s.name for s in topology.STREAMS}
        await bare.close()

    async def test_several_processes_may_do_it_at_once(self, broker_settings: BrokerSettings, table: Topology) -> None:
        brokers = await asyncio.gather(*(Broker.connect(broker_settings, name=f"p{n}") for n in range(5)))
        done = await asyncio.gather(*(provision(broker, table) for broker in brokers))
        assert sorted({line for lines in done for line in lines}) == sorted(
            {line for lines in done for line in lines if line.startswith("created")}
        )
        assert await provision(brokers[0], table) == []
        for broker in brokers:
            await broker.close()

    async def test_buckets_are_usable_by_the_client_library(self, broker: Broker) -> None:
        documents = await broker.js.key_value(topology.DOCUMENTS.name)
        await documents.put("default.d1", b"record")
        assert (await documents.get("default.d1")).value == b"record"
        leases = await broker.js.key_value(topology.LEASES.name)
        assert (await leases.status()).ttl == topology.LEASES.ttl_s
        uploads = await broker.js.object_store(topology.UPLOADS.name)
        await uploads.put("o", b"x" * 300_000)
        assert (await uploads.get("o")).data == b"x" * 300_000

    async def test_settings_reach_the_broker(self, broker: Broker) -> None:
        answers = (await broker.js.stream_info("ANSWERS")).config
        assert answers.persist_mode == "async"
        assert answers.max_age == topology.ANSWERS.max_age_s
        query = await broker.js.consumer_info("QUERY", "retrieve")
        assert query.config.max_deliver == topology.QUERY_WORKERS.max_deliver
        assert query.config.max_ack_pending == topology.QUERY_WORKERS.max_ack_pending

    async def test_a_broker_without_room_says_so(self, tmp_path: Path) -> None:
        with NatsServer(tmp_path / "small", max_store_bytes=64 * 1024 * 1024) as server:
            broker = await Broker.connect(BrokerSettings(nats_url=server.url), name="test")
            with pytest.raises((ProvisioningError, BrokerUnavailableError), match="insufficient storage"):
                await provision(broker)
            await broker.close()


class TestDrift:
    async def test_what_somebody_else_changed_is_set_right(self, broker: Broker, table: Topology) -> None:
        config = (await broker.js.stream_info("EVENTS")).config
        await broker.js.update_stream(replace(config, max_age=0, max_bytes=-1, duplicate_window=60))
        (line,) = await provision(broker, table)
        assert line.startswith("updated stream EVENTS")
        repaired = (await broker.js.stream_info("EVENTS")).config
        assert (repaired.max_age, repaired.max_bytes, repaired.duplicate_window) == (
            topology.EVENTS.max_age_s,
            topology.EVENTS.max_bytes,
            topology.EVENTS.duplicate_window_s,
        )

    async def test_a_changed_consumer_is_set_right(self, broker: Broker, table: Topology) -> None:
        info = await broker.js.consumer_info("INGEST", "ingest")
        await broker.js.add_consumer("INGEST", replace(info.config, max_deliver=2, ack_wait=77))
        (line,) = await provision(broker, table)
        assert "max_deliver" in line
        assert "ack_wait" in line
        assert (await broker.js.consumer_info("INGEST", "ingest")).config.max_deliver == 100

    async def test_what_operators_decide_is_left_alone(self, broker: Broker, table: Topology) -> None:
        await broker.js.pause_consumer("INGEST", "ingest", "2999-01-01T00:00:00Z")
        assert await provision(broker, table) == []
        assert (await broker.js.consumer_info("INGEST", "ingest")).paused

    async def test_limits_may_shrink_while_nothing_is_lost(self, broker: Broker, table: Topology) -> None:
        await send(broker, "a")
        smaller = with_stream(table, replace(topology.EMBED, max_bytes=64 * topology.MiB))
        (line,) = await provision(broker, smaller)
        assert "max_bytes" in line


class TestRefusals:
    @pytest.mark.parametrize(
        ("changed", "setting"),
        [
            (replace(topology.EMBED, max_bytes=100), "max_bytes"),
            (replace(topology.EMBED, max_msgs_per_subject=1), "max_msgs_per_subject"),
            (replace(topology.EMBED, subjects=(f"{subjects.EMBED_REQUESTS}.*",)), "subjects"),
            (replace(topology.EMBED, retention=topology.Retention.LIMITS), "retention"),
            (replace(topology.EMBED, async_persist=True), "persist_mode"),
        ],
        ids=lambda value: value if isinstance(value, str) else "",
    )
    async def test_a_change_that_would_lose_messages_or_cannot_be_made_is_refused(
        self, broker: Broker, table: Topology, changed: topology.Stream, setting: str
    ) -> None:
        await send(broker, "a", "b")
        with pytest.raises(ProvisioningError, match=setting):
            await provision(broker, with_stream(table, changed))
        assert (await broker.js.stream_info("EMBED")).state.messages == 2

    async def test_an_age_limit_below_the_age_of_what_is_stored_is_refused(
        self, broker: Broker, table: Topology
    ) -> None:
        await send(broker, "a")
        younger = with_stream(table, replace(topology.EMBED, max_age_s=0.1, duplicate_window_s=0.1))
        await asyncio.sleep(0.2)
        with pytest.raises(ProvisioningError, match=r"max_age from None to 0\.1"):
            await provision(broker, younger)
        assert (await broker.js.stream_info("EMBED")).state.messages == 1

    async def test_the_broker_itself_would_have_deleted_them(self, broker: Broker) -> None:
        """Why the refusal exists."""
        await send(broker, "a", "b")
        config = (await broker.js.stream_info("EMBED")).config
        await broker.js.update_stream(replace(config, max_msgs_per_subject=1, discard=api.DiscardPolicy.OLD))
        assert (await broker.js.stream_info("EMBED")).state.messages == 1


class TestWhatTheTablePromises:
    async def test_only_the_first_terminal_of_a_query_is_stored_and_republished(self, broker: Broker) -> None:
        query_id = new_id()
        ends = await broker.nc.subscribe(subjects.answer_end("default", query_id))
        subject = subjects.terminal("default", query_id)
        await broker.publish_bytes(subject, b"first", stream="TERMINALS")
        with pytest.raises(StreamFullError):
            await broker.publish_bytes(subject, b"second", stream="TERMINALS")
        assert (await ends.next_msg(timeout=5)).data == b"first"
        await until(lambda: _stored(broker, "ANSWERS"))
        stored = await broker.js.get_last_msg("ANSWERS", subjects.answer_end("default", query_id))
        assert stored.data == b"first"

    async def test_an_accepted_query_is_told_to_events_without_its_body(self, broker: Broker) -> None:
        await broker.publish_bytes(
            subjects.query_request("acme"), b"body", stream="QUERY", headers={subjects.HEADER_BUDGET_MS: "1000"}
        )
        await until(lambda: _stored(broker, "EVENTS"))
        told = await broker.js.get_last_msg("EVENTS", "rag.events.query.accepted.acme")
        assert not told.data
        assert told.headers is not None
        assert told.headers[subjects.HEADER_BUDGET_MS] == "1000"
        assert "Nats-Time-Stamp" in told.headers


async def _stored(broker: Broker, stream: str) -> bool:
    """What is republished is stored a moment after its source."""
    return (await broker.js.stream_info(stream)).state.messages > 0
