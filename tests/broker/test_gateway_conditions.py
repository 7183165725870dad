"""Conditional requests: what has not changed is not sent, and what has changed is not overwritten."""

from __future__ import annotations

import pytest

from messaging.broker import Broker
from tests.support.gateways import FakeIngest, Gateway

CHANGE = {"values": {"top_k": 7}, "because": "a test"}


async def test_a_document_is_sent_again_only_when_it_has_changed(gateway: Gateway, broker: Broker) -> None:
    await gateway.http.post("/v1/documents", json={"name": "a.txt", "text": "Bees dance.", "document_id": "bees"})
    first = await gateway.http.get("/v1/documents/bees")
    tag = first.headers["etag"]

    known = await gateway.http.get("/v1/documents/bees", headers={"If-None-Match": f'"another", W/{tag}'})
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert (await gateway.http.get("/v1/documents/bees", headers={"If-None-Match": '"another"'})).json() == first.json()

    await FakeIngest(broker).through("bees")
    ready = await gateway.http.get("/v1/documents/bees", headers={"If-None-Match": tag})
    assert (ready.status_code, ready.json()["state"], ready.headers["etag"] != tag) == (200, "ready", True)


async def test_an_original_is_downloaded_once(gateway: Gateway) -> None:
    await gateway.http.post("/v1/documents", json={"name": "a.txt", "text": "Bees dance.", "document_id": "bees"})
    first = await gateway.http.get("/v1/documents/bees/content")

    known = await gateway.http.get("/v1/documents/bees/content", headers={"If-None-Match": first.headers["etag"]})

    assert (first.content, known.status_code, known.content) == (b"Bees dance.", 304, b"")


async def test_a_revision_never_changes(gateway: Gateway) -> None:
    made = await gateway.http.patch("/v1/config", json=CHANGE)
    shown = await gateway.http.get("/v1/config/revisions/1")
    current = await gateway.http.get("/v1/config")

    assert (made.headers["etag"], shown.headers["etag"], current.headers["etag"]) == ('"1"', '"1"', 'W/"1"')
    for path in ("/v1/config/revisions/1", "/v1/config"):
        assert (await gateway.http.get(path, headers={"If-None-Match": '"1"'})).status_code == 304
        assert (await gateway.http.get(path, headers={"If-None-Match": '"0"'})).status_code == 200


@pytest.mark.parametrize("tag", ['"0"', 'W/"0"', "*"])
async def test_a_change_that_was_meant_for_what_is_current_is_made(gateway: Gateway, tag: str) -> None:
    made = await gateway.http.patch("/v1/config", json=CHANGE, headers={"If-Match": tag})

    assert (made.status_code, made.json()["number"]) == (200, 1)


async def test_a_change_that_was_meant_for_another_revision_is_not_made(gateway: Gateway) -> None:
    await gateway.http.patch("/v1/config", json=CHANGE)
    late = {"values": {"top_k": 9}, "because": "late"}

    changed = await gateway.http.patch("/v1/config", json=late, headers={"If-Match": '"0"'})
    back = await gateway.http.post("/v1/config/rollback", json={"because": "late"}, headers={"If-Match": '"0"'})
    by_body = await gateway.http.patch("/v1/config", json={**late, "expected_revision": 0})

    assert [each.status_code for each in (changed, back, by_body)] == [412, 412, 409]
    assert changed.json()["code"] == "precondition_failed"
    assert (await gateway.http.get("/v1/config")).json()["values"] == {"top_k": 7}


@pytest.mark.parametrize("tag", ["", "0", '"x"', '"1", "2"', '"' + "9" * 30 + '"'])
async def test_what_names_no_revision_is_refused(gateway: Gateway, tag: str) -> None:
    refused = await gateway.http.patch("/v1/config", json=CHANGE, headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
    said_twice = await gateway.http.patch(
        "/v1/config", json={**CHANGE, "expected_revision": 1}, headers={"If-Match": '"0"'}
    )
    assert said_twice.status_code == 422
    assert (await gateway.http.get("/v1/config")).json()["number"] == 0
