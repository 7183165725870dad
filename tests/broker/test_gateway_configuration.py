"""`/v1/config` of a real gateway on a real broker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contracts import topology
from contracts.runtime_config import APPLIED_BY, ConfigRevision, RuntimeConfig
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.configuration.keys import CURRENT
from tests.support.gateways import FakeWorkers, Gateway
from tests.support.waiting import until


async def patched(gateway: Gateway, values: dict[str, Any], **more: Any) -> dict[str, Any]:
    reply = await gateway.http.patch("/v1/config", json={"values": values, "because": "to see", **more})
    assert reply.status_code == 200, reply.text
    return dict(reply.json())


async def works_by(gateway: Gateway, revision: int) -> None:
    """Wait until the gateway itself says so."""

    async def said() -> bool:
        applied = (await gateway.http.get("/v1/config")).json()["applied"]
        return [(each["service"], each["revision"]) for each in applied] == [("gateway", revision)]

    await until(said)


@pytest.fixture
async def workers(broker: Broker) -> AsyncIterator[FakeWorkers]:
    workers = FakeWorkers(broker)
    await workers.start()
    yield workers
    await workers.stop()


async def test_nothing_is_set_at_first(gateway: Gateway) -> None:
    told = (await gateway.http.get("/v1/config")).json()
    assert (told["number"], told["values"], told["because"]) == (0, {}, None)
    assert {key["key"]: tuple(key["services"]) for key in told["keys"]} == APPLIED_BY
    assert (await gateway.http.get("/v1/config/revisions")).json() == {"items": []}
    await works_by(gateway, 0)


async def test_a_change_is_a_revision_and_going_back_is_one_too(gateway: Gateway) -> None:
    first = await patched(gateway, {"top_k": 7}, claimed_by="ann@hive")
    assert (first["number"], first["values"], first["is_new"]) == (1, {"top_k": 7}, True)
    assert (first["principal"], first["claimed_by"], first["because"]) == ("anonymous", "ann@hive", "to see")
    assert not (await patched(gateway, {"top_k": 7}))["is_new"]
    await patched(gateway, {"top_k": None, "reranking": False})

    reply = await gateway.http.post("/v1/config/rollback", json={"because": "worse"})
    assert (reply.status_code, reply.json()["number"], reply.json()["restores"]) == (200, 3, 1)
    listed = (await gateway.http.get("/v1/config/revisions")).json()["items"]
    assert [(each["number"], each["values"]) for each in listed] == [
        (3, {"top_k": 7}),
        (2, {"reranking": False}),
        (1, {"top_k": 7}),
    ]
    assert (await gateway.http.get("/v1/config/revisions/2")).json() == listed[1]
    await works_by(gateway, 3)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("PATCH", "", {"values": {"top_k": 0}, "because": "x"}, 422, "Nothing was changed: top_k: "),
        ("PATCH", "", {"values": {"nats_url": "x"}, "because": "x"}, 422, "nats_url: is no key"),
        ("PATCH", "", {"values": {"top_k": [1]}, "because": "x"}, 422, "top_k"),
        ("PATCH", "", {"values": {}, "because": "x"}, 422, "values"),
        ("PATCH", "", {"values": {"top_k": 7}}, 422, "because"),
        ("PATCH", "", {"values": {"top_k": 7}, "because": " "}, 422, "because"),
        ("PATCH", "", {"values": {"top_k": 7}, "because": "x", "principal": "root"}, 422, "principal"),
        ("PATCH", "", {"values": {"top_k": 7}, "because": "x", "expected_revision": 4}, 409, "not 4"),
        ("POST", "/rollback", {"because": "x"}, 404, "Nothing was ever set"),
        ("POST", "/rollback", {"because": "x", "to": 9}, 404, "no revision 9"),
        ("GET", "/revisions/9", None, 404, "no revision 9"),
        ("GET", "/revisions/nine", None, 422, "number"),
    ],
)
async def test_refusals_say_what_is_wrong_and_change_nothing(
    gateway: Gateway, method: str, path: str, body: object, status: int, said: str
) -> None:
    reply = await gateway.http.request(method, f"/v1/config{path}", json=body)
    assert reply.status_code == status
    assert said in reply.json()["detail"]
    assert (await gateway.http.get("/v1/config")).json()["number"] == 0


async def test_what_a_newer_release_wrote_is_not_replaced(gateway: Gateway, broker: Broker) -> None:
    revision = ConfigRevision(number=3, values=RuntimeConfig(), because="x").to_bytes()
    newer = revision.replace(b'"schema_version":1', b'"schema_version":99')
    await Bucket(broker, topology.CONFIG).overwrite(CURRENT, newer)
    reply = await gateway.http.patch("/v1/config", json={"values": {"top_k": 7}, "because": "x"})
    assert reply.status_code == 503
    assert "schema version 99" in reply.json()["detail"]


async def test_what_is_no_revision_is_said_to_be_none(gateway: Gateway, broker: Broker) -> None:
    await Bucket(broker, topology.CONFIG).overwrite(CURRENT, b"?")
    for reply in (
        await gateway.http.get("/v1/config"),
        await gateway.http.get("/v1/config/revisions"),
        await gateway.http.get("/v1/config/revisions/1"),
        await gateway.http.patch("/v1/config", json={"values": {"top_k": 7}, "because": "x"}),
    ):
        assert reply.status_code == 409
        assert "remove that key" in reply.json()["detail"]


async def test_questions_that_ask_for_no_number_of_passages_get_the_one_that_is_set(
    gateway: Gateway, workers: FakeWorkers
) -> None:
    await patched(gateway, {"top_k": 9})
    await works_by(gateway, 1)
    for more in ({}, {"top_k": 2}):
        assert (await gateway.http.post("/v1/query", json={"query": "Bees?", **more})).status_code == 200
    await patched(gateway, {"top_k": None})
    await works_by(gateway, 2)
    await gateway.http.post("/v1/query", json={"query": "Bees?"})
    assert [question.top_k for question in workers.questions] == [9, 2, 5]


async def test_documents_are_let_in_by_the_limit_that_is_set(gateway: Gateway) -> None:
    """Nobody reads them, so all of them wait."""

    async def submitted() -> int:
        return (await gateway.http.post("/v1/documents", json={"name": "a", "text": "Bees."})).status_code

    async def refused() -> bool:
        return await submitted() == 429

    assert await submitted() == 202
    await patched(gateway, {"max_pending_documents": 1})
    await until(refused)
    await patched(gateway, {"max_pending_documents": None})
    await works_by(gateway, 2)
    assert await submitted() == 202
