"""The whole platform with a user for each process: everything that it does is permitted, and nothing that it tries is not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from contracts import subjects, topology
from contracts.control import ControlAction, ControlOrder, ControlOutcome
from contracts.diagnoses import RecommendedAction as Act
from contracts.documents import PurgeRequest
from contracts.identifiers import new_id
from contracts.recovery import CommandOutcome
from contracts.settings import (
    EmbedSettings,
    GenerateSettings,
    IngestSettings,
    KeeperSettings,
    ObserverSettings,
    RetrieveSettings,
)
from contracts.topology import Topology
from messaging.app import WorkerApp
from messaging.backup import back_up
from messaging.broker import Broker
from messaging.census import IndexCensus
from messaging.control import ControlDesk
from messaging.drift import drift
from messaging.endpoints import EndpointDesk
from messaging.ledger import DocumentLedger
from messaging.provisioning import provision
from messaging.recovery import CommandDesk
from messaging.storage import Storage
from tests.support.gateways import Gateway, running_gateway
from tests.support.letters import dead_letters
from tests.support.nats_users import Connections, Guarded, connections, guarded
from tests.support.observers import table as short_leases
from tests.support.platforms import MemoryPlatform, slots
from tests.support.recovery import KEY, command, key_file, operating
from tests.support.waiting import until
from tests.support.workers import running
from workers.embed.worker import build as embed
from workers.encoding.simulated import SimulatedEmbedder
from workers.generate.worker import build as generate
from workers.ingest.worker import build as ingest
from workers.keeper.reconciliation.finding import Rhythm
from workers.keeper.worker import build as keeper
from workers.observer.worker import build as observer
from workers.retrieve.worker import build as retrieve

WAIT_S = 60.0
TENANT = "default"
TEXT = "The winter stores of a colony weigh twenty kilograms. Bees dance to tell the way."
QUESTION = {"query": "What do the winter stores of a colony weigh?"}
OFTEN = Rhythm(pause_s=0.5, index_pause_s=0.5, uploads_pause_s=0.5, settled_s=2, orphaned_s=5, confirm_s=0.2)


@dataclass
class Platform:
    """All processes, each as its own user; `people` connects as whoever is named."""

    broker: Guarded
    gateway: Gateway
    apps: Mapping[str, WorkerApp]
    people: Connections

    @property
    def http(self) -> Any:
        return self.gateway.http

    async def submitted(self, document_id: str, content: str = TEXT) -> None:
        body = {"document_id": document_id, "name": f"{document_id}.txt", "text": content}
        response = await self.http.post("/v1/documents", json=body)
        assert response.status_code == 202, response.text
        await self.is_(document_id, "ready")

    async def is_(self, document_id: str, state: str) -> None:
        async def is_there() -> bool:
            return bool((await self.http.get(f"/v1/documents/{document_id}")).json().get("state") == state)

        await until(is_there, timeout_s=WAIT_S, what=f"{document_id} is {state}")

    async def asked(self, **options: Any) -> dict[str, Any]:
        response = await self.http.post("/v1/query", json={**QUESTION, **options})
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.fixture(scope="module")
def guarded_broker(tmp_path_factory: pytest.TempPathFactory):
    with guarded(tmp_path_factory.mktemp("users")) as broker:
        yield broker


@pytest.fixture
def table() -> Topology:
    return short_leases()


@pytest.fixture
async def platform(
    guarded_broker: Guarded, table: Topology, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Platform]:
    monkeypatch.setattr("messaging.running.BEAT_INTERVAL_S", 0.5)
    monkeypatch.setattr("messaging.running.SAMPLE_INTERVAL_S", 0.5)
    monkeypatch.setattr("messaging.running.WATCH_INTERVAL_S", 0.5)
    url = guarded_broker.server.url
    common: dict[str, Any] = {
        "nats_url": url, "data_dir": tmp_path, "drain_timeout_s": 5, "publish_timeout_s": 5, "probe_interval_s": 1
    }  # fmt: skip
    indexed = {**common, "index_path": tmp_path / "index", "cache": "nats"}

    def as_(user: str, given: Mapping[str, Any]) -> dict[str, Any]:
        return {**given, **guarded_broker.shown(user), "instance": f"{user}-1"}

    apps = {
        "keeper": keeper(KeeperSettings(**as_("keeper", common)), table=table, rhythm=OFTEN),
        "ingest": ingest(IngestSettings(**as_("ingest", common)), table=table),
        "embed": embed(EmbedSettings(**as_("embed", indexed)), embedder=SimulatedEmbedder, table=table, kept_s=0.5),
        "retrieve": retrieve(RetrieveSettings(**as_("retrieve", indexed)), embedder=SimulatedEmbedder, table=table),
        "generate": generate(GenerateSettings(**as_("generate", common)), table=table),
        "observer": observer(
            ObserverSettings(**as_("observer", common), recovery_key_file=key_file(tmp_path), rule_interval_s=1),
            table=table,
        ),
    }
    machine = MemoryPlatform(*slots("retrieve", running=1, of=2), *slots("embed", running=1, of=2))
    async with AsyncExitStack() as stack:
        people = await stack.enter_async_context(connections(guarded_broker))
        await provision(await people.of("provision"), table)
        for app in apps.values():
            await stack.enter_async_context(running(app))
        acting = operating(
            url, tmp_path, machine, table=table, listen_s=1.5, cache="nats", **guarded_broker.shown("operator")
        )
        apps["operator"] = await stack.enter_async_context(acting)
        given = {**guarded_broker.shown("gateway"), "instance": "gateway-1"}
        gateway = await stack.enter_async_context(running_gateway(url, **given))
        await gateway.ready()
        yield Platform(guarded_broker, gateway, apps, people)


async def test_everything_that_the_platform_does_is_permitted(platform: Platform, tmp_path: Path) -> None:
    admin = await platform.people.of("admin")
    await documents_and_questions(platform)
    await what_fails(platform, admin)
    await settings(platform)
    await orders(platform, admin)
    await repairs(platform)
    await keeping(platform, admin)
    await watching(platform)
    await back_up(admin, tmp_path / "backup", overwrite=False, advance=lambda _: None)
    assert await drift(admin, short_leases()) == []

    assert platform.broker.violations() == []
    counted = {name: app.broker.refusals.counts for name, app in platform.apps.items()}
    assert counted == {name: {"publish": 0, "subscribe": 0} for name in platform.apps}


async def documents_and_questions(platform: Platform) -> None:
    """From a submission to its removal, in one piece and in many, with questions between."""
    await platform.submitted("bees")
    await platform.submitted("long", "\n\n".join(f"{TEXT} Hive {n} is full." for n in range(400)))
    await platform.submitted("bees", f"{TEXT} Newer.")
    first = await platform.asked()
    assert first["answer"]
    assert first["citations"]
    again = await platform.asked()
    assert again["answer"] == first["answer"]
    turns = [{"role": "user", "content": "Bees?"}, {"role": "assistant", "content": "Yes."}]
    await platform.asked(messages=turns)
    await platform.asked(generate=False)
    vectors = await platform.http.post("/v1/embeddings", json={"model": "waggle", "input": ["bees"] * 40})
    assert vectors.status_code == 200, vectors.text
    text = await platform.http.get("/v1/documents/bees/text", params={"start": 0, "end": 10})
    assert text.status_code == 200
    async with platform.http.stream("POST", "/v1/query", json={**QUESTION, "stream": True, "cache": False}) as stream:
        assert "completed" in "".join([line async for line in stream.aiter_lines()])
    await platform.http.delete(f"/v1/queries/{first['query_id']}")
    for path, status in (("", 200), (f"/{first['query_id']}", 200), (f"/{new_id()}", 404)):
        assert (await platform.http.get(f"/v1/queries{path}")).status_code == status, path
    assert (await platform.http.delete("/v1/documents/long")).status_code in (200, 202, 204)
    storage = Storage(await platform.people.of("admin"))
    await until(lambda: storage.count("EVENTS", subjects.EVENTS + ".document.purged.*"), timeout_s=WAIT_S)


async def what_fails(platform: Platform, admin: Broker) -> None:
    """Dead letters at every stage, listed, replayed and dropped."""
    files = [("files", ("spoilt.pdf", b"%PDF-1.7 nothing of a document", "application/pdf"))]
    spoilt = (await platform.http.post("/v1/documents", files=files)).json()
    document_id = spoilt.get("document_id") or spoilt["items"][0]["document_id"]
    await platform.is_(document_id, "failed")
    for stream, subject in (
        ("INGEST", subjects.ingest_request(TENANT)),
        ("EMBED", subjects.embed_request(TENANT)),
        ("EMBED", subjects.embed_purge(TENANT)),
        ("QUERY", subjects.query_request(TENANT)),
        ("GENERATE", subjects.generate_request(TENANT)),
        ("GENERATE", subjects.generate_request(TENANT, "stable")),
    ):
        await admin.publish_bytes(subject, b"{}", stream=stream, headers={"Nats-Msg-Id": new_id()})
    await until(lambda: enough_letters(admin), timeout_s=WAIT_S, what="dead letters of every stage")
    listed = (await platform.http.get("/v1/dlq")).json()["items"]
    of_document = next(item for item in listed if item.get("document_id") == document_id)
    assert (await platform.http.post(f"/v1/dlq/{of_document['id']}/replay")).status_code in (200, 202, 204)
    dropped = next(item for item in listed if item["id"] != of_document["id"])
    assert (await platform.http.delete(f"/v1/dlq/{dropped['id']}")).status_code in (200, 204)
    await platform.is_(document_id, "failed")


async def enough_letters(admin: Broker) -> bool:
    return len({letter.stream for letter in await dead_letters(admin)}) == 4


async def settings(platform: Platform) -> None:
    """What people set over HTTP: values, rules, silences, keys, a pause, what is agreed with a tenant."""
    changed = await platform.http.patch("/v1/config", json={"values": {"top_k": 3}, "because": "a test"})
    assert changed.status_code == 200, changed.text
    assert (await platform.http.post("/v1/config/rollback", json={"revision": 0, "because": "x"})).status_code < 500
    rules = "groups: [{name: mine, rules: [{alert: Mine, expr: vector(1)}]}]\n"
    assert (await platform.http.put("/v1/rules/mine", json={"text": rules})).status_code in (200, 204)
    assert (await platform.http.delete("/v1/rules/mine")).status_code in (200, 204)
    soon = (datetime.now(UTC) + timedelta(minutes=1)).isoformat()
    pause = await platform.http.put("/v1/recovery/pause", json={"reason": "a test", "ends_at": soon})
    assert pause.status_code == 200, pause.text
    assert (await platform.http.delete("/v1/recovery/pause")).status_code < 500
    terms = {"rate_limit": "1000/m", "max_documents": 1000}
    assert (await platform.http.put("/v1/tenants/default", json=terms)).status_code == 200
    await until(lambda: is_agreed(platform), timeout_s=WAIT_S, what="the terms are followed")
    await platform.asked()  # counted
    assert (await platform.http.delete("/v1/tenants/default")).status_code == 200
    key = await platform.http.post("/v1/keys", json={"name": "x", "scopes": ["read"], "tenant": TENANT})
    assert key.status_code == 201, key.text


async def is_agreed(platform: Platform) -> bool:
    terms = (await platform.http.get("/v1/tenants/default")).json()["terms"]
    return bool(terms["max_documents"] == 1000)


async def orders(platform: Platform, admin: Broker) -> None:
    """What commands on the host ask of processes."""
    desk = ControlDesk(admin)
    for service in ("ingest", "embed", "retrieve", "generate", "keeper", "observer", "operator"):
        order = ControlOrder(
            order_id=new_id(), service=service, instance=f"{service}-1", action=ControlAction.DUMP_STACKS,
            reason="a test", principal="ada", expires_at=admin.clock.now() + timedelta(minutes=1),
        )  # fmt: skip
        assert (await desk.order(order)).outcome is ControlOutcome.DONE
    async with EndpointDesk.open(admin, listen_s=0.1, gather_s=0.5) as endpoints:
        await endpoints.survey()
    assert await IndexCensus(admin).take()


async def repairs(platform: Platform) -> None:
    """Commands of the observer, carried out by the operator."""
    giving = await platform.people.of("observer")
    desk = CommandDesk(giving, KEY)
    done = {}
    for action, name, service, more in (
        (Act.CLEAR_CACHE, "retrieve", "retrieve", {}),
        (Act.SCALE_UP, "embed", "embed", {"replicas": 1}),
        (Act.FAILOVER, "generator", "generate", {"standby": True}),
    ):
        given = await desk.issue(command(action, name, service, now=giving.clock.now(), **more))
        done[action] = (await desk.result(given.id, timeout_s=WAIT_S)).outcome
    assert done == dict.fromkeys(done, CommandOutcome.DONE)
    await giving.publish_bytes(
        f"{subjects.RECOVERY_COMMANDS}.nonsense", b"{}", stream="OPS", headers={"Nats-Msg-Id": new_id()}
    )
    storage = Storage(await platform.people.of("admin"))
    await until(lambda: storage.count("DLQ", subjects.dead_letter("OPS", "*")), timeout_s=WAIT_S)


async def keeping(platform: Platform, admin: Broker) -> None:
    """A consumer, a stream and a bucket that are lost come back; a question that nobody answers ends."""
    for consumer in (topology.INGEST_WORKERS, topology.KEEPER_ADVISORIES):
        await admin.js.delete_consumer(consumer.stream.name, consumer.durable)
    await admin.js.delete_stream("KV_cache")
    await admin.js.delete_stream(topology.GENERATE.name)
    await until(lambda: is_whole(admin), timeout_s=WAIT_S, what="everything is there again")
    await platform.submitted("after")
    ended = await platform.http.post("/v1/query", json={**QUESTION, "deadline_s": 0.1, "cache": False})
    assert ended.status_code < 500 or ended.status_code == 504
    purge = PurgeRequest(tenant=TENANT, document_id="nobody", generation=new_id())
    await admin.publish(subjects.embed_purge(TENANT), purge, stream=topology.EMBED, message_id=new_id())
    await until(lambda: DocumentLedger(admin).get(TENANT, "after"), timeout_s=WAIT_S)


async def is_whole(admin: Broker) -> bool:
    return await drift(admin, short_leases()) == []


async def watching(platform: Platform) -> None:
    """The observer hears the whole fleet, and says so."""

    async def all_are_told() -> bool:
        response = await platform.http.get("/v1/health")
        told = response.text
        return response.status_code == 200 and all(f"{name}-1" in told for name in platform.apps)

    await until(all_are_told, timeout_s=WAIT_S, what="the observer tells of all")
    for path in ("/v1/alerts", "/v1/figures", "/v1/diagnoses", "/v1/incidents", "/v1/recoveries", "/v1/fleet"):
        assert (await platform.http.get(path)).status_code == 200, path
