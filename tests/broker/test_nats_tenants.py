"""Programs of tenants: each in an account of its own, from which nothing gets out but what is its business."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import nats.errors
import pytest
from nats.aio.client import Client

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed
from contracts.settings import KeeperSettings
from contracts.topology import Topology
from deploy.nats.grants import inbox
from messaging.broker import Broker
from messaging.provisioning import provision
from messaging.storage import Storage
from messaging.terminals import Terminals
from tests.support.nats_users import Guarded, guarded
from tests.support.waiting import until
from tests.support.workers import running
from workers.keeper.worker import build as keeper

PURGE_EVENTS = "$JS.API.STREAM.PURGE.EVENTS"


@pytest.fixture
def guarded_broker(tmp_path: Path) -> Iterator[Guarded]:
    with guarded(tmp_path) as broker:
        yield broker


@pytest.fixture
async def admin(guarded_broker: Guarded, table: Topology) -> AsyncIterator[Broker]:
    connected = await Broker.connect(guarded_broker.settings("admin"), name="admin", on_closed=lambda: None)
    try:
        await provision(connected, table)
        yield connected
    finally:
        await connected.close()


@asynccontextmanager
async def program(broker: Guarded, user: str) -> AsyncIterator[tuple[Client, list[str]]]:
    """A client as somebody writes it with the library alone, and what the server refused it."""
    errors: list[str] = []

    async def hear(error: Exception) -> None:
        errors.append(str(error))

    client = await nats.connect(
        broker.server.url, nkeys_seed=str(broker.seeds.file(user)), inbox_prefix=inbox(user), error_cb=hear
    )
    try:
        yield client, errors
    finally:
        await client.close()


async def refused(client: Client, errors: list[str], subject: str, *, subscribe: bool = False) -> bool:
    before = len(errors)
    await (client.subscribe(subject) if subscribe else client.publish(subject, b"{}"))
    await client.flush()
    await client.flush()
    return len(errors) > before


async def test_a_question_is_asked_and_its_answer_read_live_and_later(guarded_broker: Guarded, admin: Broker) -> None:
    async with program(guarded_broker, "asker-acme") as (client, errors):
        heard: asyncio.Queue[bytes] = asyncio.Queue()

        async def hear(message) -> None:
            heard.put_nowait(message.data)

        await client.subscribe("rag.answers.acme.q1.end", cb=hear)
        await client.flush()
        ack = await client.jetstream().publish(
            "rag.query.requests.acme", b"{}", headers={"Nats-Msg-Id": "acme.q1", "Waggle-Query-Id": "q1"}
        )
        assert ack.stream == "QUERY"
        await Terminals(admin).end(Completed(tenant="acme", query_id="q1", answer="Twenty."))
        assert json.loads(await asyncio.wait_for(heard.get(), 30))["answer"] == "Twenty."
        later = await client.request("$JS.API.DIRECT.GET.ANSWERS.rag.answers.acme.q1.end", timeout=5)
        assert json.loads(later.data)["answer"] == "Twenty."
        assert errors == []


async def test_a_question_is_withdrawn(guarded_broker: Guarded, admin: Broker, table: Topology) -> None:
    cancelled: list[str] = []

    async def hear(message) -> None:
        cancelled.append(message.subject)

    await admin.nc.subscribe(f"{subjects.CANCEL}.*.*", cb=hear)
    await admin.nc.flush()
    settings = KeeperSettings(nats_url=guarded_broker.server.url, **guarded_broker.shown("keeper"))
    async with running(keeper(settings, table=table)), program(guarded_broker, "asker-acme") as (client, _):
        await client.publish("rag.query.withdrawals.acme.q2", b"")  # nobody asked it
        headers = {"Nats-Msg-Id": "acme.q1", "Waggle-Query-Id": "q1"}
        await client.jetstream().publish("rag.query.requests.acme", b"{}", headers=headers)

        async def is_withdrawn() -> bool:
            await client.publish("rag.query.withdrawals.acme.q1", b"")
            return isinstance(await Terminals(admin).find("acme", "q1"), Cancelled)

        await until(is_withdrawn)
        await until(lambda: cancelled == ["rag.cancel.acme.q1"])
    assert await Terminals(admin).find("acme", "q2") is None


async def test_nobody_who_asks_can_say_what_the_answer_is(guarded_broker: Guarded, admin: Broker) -> None:
    async with program(guarded_broker, "asker-acme") as (client, errors):
        for subject in ("rag.terminal.acme.q1", "rag.answers.acme.q1", "rag.answers.acme.q1.end", "rag.cancel.acme.q1"):
            assert await refused(client, errors, subject), subject


async def test_a_publisher_hands_in_requests_and_hears_what_becomes_of_them(
    guarded_broker: Guarded, admin: Broker
) -> None:
    async with program(guarded_broker, "publisher-acme") as (client, errors):
        heard: list[str] = []

        async def hear(message) -> None:
            heard.append(message.subject)

        await client.subscribe("rag.events.document.*.acme", cb=hear)
        await client.flush()
        assert (await client.jetstream().publish("rag.ingest.requests.acme", b"{}")).stream == "INGEST"
        for tenant in ("globex", "acme"):
            await admin.nc.publish(f"rag.events.document.ready.{tenant}", b"{}")
        await until(lambda: heard)
        assert heard == ["rag.events.document.ready.acme"]
        assert errors == []


@pytest.mark.parametrize("user", ["asker-acme", "publisher-acme"])
async def test_other_tenants_and_what_is_behind_the_subjects_are_out_of_reach(
    guarded_broker: Guarded, admin: Broker, user: str
) -> None:
    await Terminals(admin).end(Completed(tenant="globex", query_id="q1", answer="Secret."))
    forbidden = (
        "rag.query.requests.globex",
        "rag.ingest.requests.globex",
        "rag.terminal.globex.q1",
        "rag.cancel.globex.q1",
        "rag.embed.purges.acme",
        "rag.recovery.commands.service.embed",
        "$KV.documents.acme.d",
        "$O.uploads.C.x",
        "$JS.API.INFO",
        "$JS.API.STREAM.INFO.EVENTS",
        "$JS.API.DIRECT.GET.ANSWERS",
        "$JS.API.DIRECT.GET.ANSWERS.rag.answers.globex.q1.end",
        "$JS.API.DIRECT.GET.KV_documents.$KV.documents.acme.d",
        "$JS.API.CONSUMER.CREATE.ANSWERS",
    )
    async with program(guarded_broker, user) as (client, errors):
        for subject in forbidden:
            assert await refused(client, errors, subject), subject
        for subject in (">", "rag.answers.>", "rag.answers.globex.>", "rag.events.>", "_INBOX.>", "_INBOX_gateway.>"):
            assert await refused(client, errors, subject, subscribe=True), subject


async def test_a_reply_subject_takes_nothing_out_of_the_account(guarded_broker: Guarded, admin: Broker) -> None:
    """Whatever a program names there: what the broker answers stays with the program."""
    storage = Storage(admin)
    await admin.publish_bytes("rag.events.document.ready.t", b"{}", stream="EVENTS", headers={"Nats-Msg-Id": "1"})
    targets = (
        PURGE_EVENTS,
        "rag.embed.purges.globex",
        "rag.terminal.globex.q1",
        "rag.recovery.commands.x",
        "$KV.documents.globex.d",
        inbox("gateway") + ".x",
    )
    heard: list[str] = []

    async def hear(message) -> None:
        heard.append(message.subject)

    await admin.nc.subscribe("rag.recovery.commands.>", cb=hear)
    await admin.nc.flush()
    async with program(guarded_broker, "asker-acme") as (client, _):
        await admin.publish_bytes("rag.terminal.acme.q1", b'{"filter": ">"}', stream="TERMINALS")
        for target in targets:
            await client.publish("$JS.API.DIRECT.GET.ANSWERS.rag.answers.acme.q1.end", b"", reply=target)
            await client.publish("rag.query.requests.acme", b"{}", reply=target)
        await client.flush()
        await until(lambda: storage.count("QUERY", ">"))
        answered = await client.request("$JS.API.DIRECT.GET.ANSWERS.rag.answers.acme.q1.end", timeout=5)
        assert answered.data == b'{"filter": ">"}'
    await admin.nc.flush()

    assert await storage.count("EVENTS", "rag.events.document.ready.t") == 1
    assert heard == []
    for stream, kept in (("EMBED", 0), ("TERMINALS", 1), ("OPS", 0), ("KV_documents", 0)):
        assert (await storage.size(stream))[0] == kept, stream


async def test_a_process_of_the_platform_can_have_the_broker_deliver_what_it_may_not_publish(
    guarded_broker: Guarded, admin: Broker
) -> None:
    """What permissions do not stop, which is why programs have accounts of their own and commands are signed."""
    storage = Storage(admin)
    await admin.publish_bytes("rag.events.document.ready.t", b"{}", stream="EVENTS", headers={"Nats-Msg-Id": "1"})
    async with program(guarded_broker, "generate") as (client, errors):
        assert await refused(client, errors, PURGE_EVENTS)
        assert await refused(client, errors, "rag.recovery.commands.x")
        await admin.publish_bytes("rag.terminal.acme.q1", b'{"filter": ">"}', stream="TERMINALS")
        for target in ("rag.recovery.commands.x", PURGE_EVENTS):
            await client.publish("$JS.API.DIRECT.GET.TERMINALS.rag.terminal.acme.q1", b"", reply=target)
        await client.flush()

        async def emptied() -> bool:
            return await storage.count("EVENTS", ">") == 0

        await until(emptied, what="the events were purged by somebody who may not")
    stored = await storage.last(topology.OPS.name, "rag.recovery.commands.x")
    assert stored is not None
    assert stored.data == b'{"filter": ">"}'


async def test_who_may_write_one_key_can_empty_its_bucket(guarded_broker: Guarded, admin: Broker) -> None:
    """What permissions do not stop, which is why programs of tenants write no ledger and no uploads."""
    for key in ("acme.d", "globex.d"):
        await admin.publish_bytes(f"$KV.documents.{key}", b"{}", stream="KV_documents")
    async with program(guarded_broker, "ingest") as (client, _):
        await client.jetstream().publish("$KV.documents.acme.d2", b"{}", headers={"Nats-Rollup": "all"})
    assert (await Storage(admin).size("KV_documents"))[0] == 1
