"""Requests that come again under their idempotency key, at any gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from contracts import topology
from contracts.api_keys import Scope
from contracts.gateway_settings import Auth
from contracts.identifiers import ANONYMOUS
from deploy.local.nats_server import NatsServer
from gateway.idempotency import request_id
from gateway.identity import ANYBODY
from messaging.api_keys import KeyBook
from messaging.broker import Broker
from messaging.buckets import Bucket
from messaging.idempotency import Attempt, IdempotentRequests, RequestUnderWayError
from messaging.ledger import DocumentLedger
from tests.broker.test_gateway_keys import key
from tests.support.gateways import FakeWorkers, Gateway, answering, finishing_after, running_gateway
from tests.support.waiting import until

KEY = {"Idempotency-Key": "5f3c2d1e-8a97-4a55"}
NOTE = {"name": "note.txt", "text": "Bees dance."}
REPLAYED = "idempotent-replayed"


@pytest.fixture
async def other(gateway: Gateway, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    """Another gateway on the same broker."""
    async with running_gateway(nats_server.url, instance="other") as started:
        await started.ready()
        yield started


async def submitted(broker: Broker) -> int:
    """How many documents there are."""
    return len([record async for record in DocumentLedger(broker).records()])


async def test_a_document_that_is_submitted_again_is_the_same(gateway: Gateway, other: Gateway, broker: Broker) -> None:
    first = await gateway.http.post("/v1/documents", json=NOTE, headers=KEY)
    again = await other.http.post("/v1/documents", json=NOTE, headers=KEY)

    assert (first.status_code, again.status_code, again.json()) == (202, 202, first.json())
    assert (REPLAYED in first.headers, again.headers[REPLAYED]) == (False, "true")
    assert await submitted(broker) == 1


async def test_without_a_key_it_is_another_one(gateway: Gateway, broker: Broker) -> None:
    for _ in range(2):
        await gateway.http.post("/v1/documents", json=NOTE)

    assert await submitted(broker) == 2


@pytest.mark.parametrize("changed", [{**NOTE, "text": "Bees sleep."}, {**NOTE, "name": "other.txt"}])
async def test_another_body_under_the_same_key_is_refused(
    gateway: Gateway, broker: Broker, changed: dict[str, str]
) -> None:
    await gateway.http.post("/v1/documents", json=NOTE, headers=KEY)

    refused = await gateway.http.post("/v1/documents", json=changed, headers=KEY)

    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await submitted(broker) == 1


async def test_the_same_body_written_otherwise_is_the_same(gateway: Gateway) -> None:
    first = await gateway.http.post("/v1/documents", json=NOTE, headers=KEY)
    text = '{ "text":"Bees dance.",\n "name": "note.txt" }'
    again = await gateway.http.post("/v1/documents", content=text, headers={**KEY, "Content-Type": "application/json"})

    assert again.json() == first.json()


async def test_an_upload_of_files_is_taken_once_however_its_form_is_framed(
    gateway: Gateway, other: Gateway, broker: Broker
) -> None:
    files = [("f", ("a.txt", b"Bees dance.")), ("f", ("b.txt", b"Bees sleep."))]
    first = await gateway.http.post("/v1/documents", files=files, data={"metadata": '{"a": "b"}'}, headers=KEY)
    again = await other.http.post("/v1/documents", files=files, data={"metadata": '{"a": "b"}'}, headers=KEY)
    refused = await other.http.post("/v1/documents", files=files[:1], data={"metadata": '{"a": "b"}'}, headers=KEY)

    assert (first.status_code, again.json(), again.headers[REPLAYED]) == (202, first.json(), "true")
    assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
    assert await submitted(broker) == 2


async def test_of_an_upload_with_a_refused_file_only_that_one_is_tried_anew(gateway: Gateway) -> None:
    files = [("f", ("a.txt", b"Bees dance.")), ("f", ("big.txt", b"x" * 300_000))]
    first = (await gateway.http.post("/v1/documents", files=files, headers=KEY)).json()["items"]
    again = (await gateway.http.post("/v1/documents", files=files, headers=KEY)).json()["items"]

    assert (first[0]["unchanged"], again[0]["unchanged"]) == (False, True)
    assert again[0]["document_id"] == first[0]["document_id"]
    assert again[1]["problem"]["status"] == 413


async def test_while_the_first_is_under_way_the_second_is_told_to_come_back(gateway: Gateway, broker: Broker) -> None:
    held = await IdempotentRequests(broker).begin(request_id(ANYBODY, "busy"), None, principal=ANONYMOUS)
    assert isinstance(held, Attempt)

    refused = await gateway.http.post("/v1/documents", json=NOTE, headers={"Idempotency-Key": "busy"})

    assert (refused.status_code, refused.json()["code"]) == (409, "request_under_way")
    assert refused.headers["retry-after"] == "1"
    assert await submitted(broker) == 0


async def test_a_refused_request_leaves_its_key_free(gateway: Gateway) -> None:
    refused = await gateway.http.post("/v1/dlq/INGEST.1-1/replay", headers=KEY)
    assert refused.status_code == 404

    accepted = await gateway.http.post("/v1/documents", json=NOTE, headers=KEY)

    assert accepted.status_code == 202


async def test_who_carried_a_request_out_and_fell_silent_is_followed_by_another(broker: Broker) -> None:
    requests = IdempotentRequests(broker, tell_s=0.02)
    first = await requests.begin("one", "a" * 64, principal=ANONYMOUS)

    async def taken_over() -> bool:
        try:
            begun = await requests.begin("one", "a" * 64, principal=ANONYMOUS)
        except RequestUnderWayError:
            return False
        return isinstance(begun, Attempt) and not begun.is_first

    assert isinstance(first, Attempt)
    assert first.is_first
    await until(taken_over)


async def test_who_is_at_it_for_long_keeps_the_key(broker: Broker) -> None:
    requests = IdempotentRequests(broker, tell_s=0.05)
    attempt = await requests.begin("one", None, principal=ANONYMOUS)
    assert isinstance(attempt, Attempt)
    refusals = 0
    async with requests.held(attempt) as holding:
        for _ in range(8):
            await asyncio.sleep(0.05)
            with pytest.raises(RequestUnderWayError):
                await requests.begin("one", None, principal=ANONYMOUS)
            refusals += 1
        await holding.finish(status=200, body="{}")

    assert refusals == 8
    done = await requests.begin("one", None, principal=ANONYMOUS)
    assert not isinstance(done, Attempt)
    assert (done.status, done.body) == (200, "{}")


async def test_a_change_that_may_have_been_made_is_not_made_again(gateway: Gateway, broker: Broker) -> None:
    body = {"values": {"top_k": 7}, "because": "a test"}
    at = request_id(ANYBODY, "lost")
    requests = IdempotentRequests(broker)
    bucket = Bucket(broker, topology.REQUESTS)
    begun = await requests.begin(at, None, principal=ANONYMOUS)
    assert isinstance(begun, Attempt)
    silent = begun.record.model_copy(update={"told_at": broker.clock.now() - timedelta(minutes=1)})
    await bucket.write(at, silent.to_bytes(), revision=begun.revision)

    refused = await gateway.http.patch("/v1/config", json=body, headers={"Idempotency-Key": "lost"})

    assert (refused.status_code, refused.json()["code"]) == (409, "outcome_unknown")
    assert (await gateway.http.get("/v1/config")).json()["number"] == 0


async def test_going_back_twice_under_one_key_goes_back_once(gateway: Gateway, other: Gateway) -> None:
    for top_k in (6, 7, 8):
        await gateway.http.patch("/v1/config", json={"values": {"top_k": top_k}, "because": "a test"})
    first = await gateway.http.post("/v1/config/rollback", json={"because": "back"}, headers=KEY)
    again = await other.http.post("/v1/config/rollback", json={"because": "back"}, headers=KEY)

    assert (first.json()["values"], again.json()) == ({"top_k": 7}, first.json())
    assert (await gateway.http.get("/v1/config")).json()["number"] == first.json()["number"]


async def test_a_silence_is_made_once_and_another_one_under_its_key_is_refused(gateway: Gateway) -> None:
    ends_at = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    body = {"matchers": ["alertname=A"], "ends_at": ends_at}
    first = await gateway.http.post("/v1/silences", json=body, headers=KEY)
    again = await gateway.http.post("/v1/silences", json=body, headers=KEY)
    other = await gateway.http.post("/v1/silences", json={**body, "comment": "another"}, headers=KEY)

    assert (first.status_code, again.json()) == (201, first.json())
    assert other.status_code == 422
    assert len((await gateway.http.get("/v1/silences")).json()["items"]) == 1


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, '"', "a.b", "ü"])
async def test_what_is_no_key_is_refused(gateway: Gateway, broker: Broker, name: str) -> None:
    headers = [(b"Idempotency-Key", name.encode())]

    refused = await gateway.http.post("/v1/documents", json=NOTE, headers=headers)

    assert refused.status_code == 422
    assert await submitted(broker) == 0


async def test_a_quoted_key_is_the_same_as_a_bare_one(gateway: Gateway) -> None:
    first = await gateway.http.post("/v1/documents", json=NOTE, headers={"Idempotency-Key": '"abc"'})
    again = await gateway.http.post("/v1/documents", json=NOTE, headers={"Idempotency-Key": "abc"})

    assert again.json() == first.json()


class TestQuestions:
    BODY: dict[str, Any] = {"query": "How do bees tell the way?"}  # noqa: RUF012 (never changed)

    @pytest.fixture
    async def workers(self, broker: Broker) -> AsyncIterator[FakeWorkers]:
        started = FakeWorkers(broker, answering)
        await started.start()
        yield started
        await started.stop()

    async def test_a_question_is_asked_once_and_answered_each_time(
        self, gateway: Gateway, other: Gateway, workers: FakeWorkers
    ) -> None:
        first = (await gateway.http.post("/v1/query", json=self.BODY, headers=KEY)).json()
        again = (await other.http.post("/v1/query", json=self.BODY, headers=KEY)).json()

        assert len(workers.questions) == 1
        for answer in (first, again):
            del answer["timings_ms"]
        assert again == first
        assert first["passages"]

    async def test_another_question_under_its_key_is_refused(self, gateway: Gateway, workers: FakeWorkers) -> None:
        await gateway.http.post("/v1/query", json=self.BODY, headers=KEY)

        refused = await gateway.http.post("/v1/query", json={**self.BODY, "top_k": 3}, headers=KEY)
        chat = {"messages": [{"role": "user", "content": "Why?"}], "model": "waggle"}
        as_chat = await gateway.http.post("/v1/chat/completions", json=chat, headers=KEY)

        assert (refused.status_code, refused.json()["code"]) == (422, "idempotency_key_reused")
        assert (as_chat.status_code, as_chat.json()["error"]["code"]) == (400, "idempotency_key_reused")
        assert len(workers.questions) == 1

    async def test_a_stream_is_read_again_from_its_beginning(
        self, gateway: Gateway, other: Gateway, workers: FakeWorkers
    ) -> None:
        body = {**self.BODY, "stream": True}
        first = await gateway.http.post("/v1/query", json=body, headers=KEY)
        again = await other.http.post("/v1/query", json=body, headers=KEY)

        assert "event: delta" in first.text
        assert again.text == first.text
        assert len(workers.questions) == 1

    async def test_a_question_whose_asker_left_is_answered_when_it_comes_again(
        self, gateway: Gateway, other: Gateway, broker: Broker
    ) -> None:
        go_on = asyncio.Event()
        workers = FakeWorkers(broker, finishing_after(go_on))
        await workers.start()
        leaving = asyncio.create_task(gateway.http.post("/v1/query", json=self.BODY, headers=KEY))
        await until(lambda: bool(workers.questions))
        leaving.cancel()
        coming = asyncio.create_task(other.http.post("/v1/query", json=self.BODY, headers=KEY))
        go_on.set()
        answer = await coming
        await workers.stop()

        assert (answer.status_code, answer.json()["answer"]) == (200, "Finished.")
        assert len(workers.questions) == 1

    async def test_a_chat_completion_is_made_once(self, gateway: Gateway, workers: FakeWorkers) -> None:
        body = {"messages": [{"role": "user", "content": "How do bees tell the way?"}], "model": "waggle"}
        first = await gateway.http.post("/v1/chat/completions", json=body, headers=KEY)
        again = await gateway.http.post("/v1/chat/completions", json=body, headers=KEY)

        assert (first.status_code, again.json()["id"]) == (200, first.json()["id"])
        assert again.json()["choices"] == first.json()["choices"]
        assert len(workers.questions) == 1


class TestKeys:
    @pytest.fixture
    async def gateway(self, broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
        async with running_gateway(nats_server.url, auth=Auth.KEYS) as started:
            await started.ready()
            yield started

    async def test_a_key_is_made_once_and_its_secret_shown_once(self, gateway: Gateway, broker: Broker) -> None:
        book = KeyBook(broker)
        admin = await key(book, gateway, Scope.ADMIN)
        body = {"name": "import", "scopes": ["read"]}
        first = await gateway.http.post("/v1/keys", json=body, headers={**admin, **KEY})
        again = await gateway.http.post("/v1/keys", json=body, headers={**admin, **KEY})

        assert (again.status_code, again.json()["key"]["id"]) == (201, first.json()["key"]["id"])
        assert (again.json()["secret"], again.headers["cache-control"]) == (None, "no-store")
        assert len(await book.all()) == 2
        stored = await broker.js.get_last_msg("KV_requests", "$KV.requests.>")
        assert first.json()["secret"].encode() not in (stored.data or b"")

        at = f"/v1/keys/{first.json()['key']['id']}/rotate"
        rotate = {**admin, "Idempotency-Key": "rotate"}
        rotated = await gateway.http.post(at, json={"overlap_s": 60}, headers=rotate)
        repeated = await gateway.http.post(at, json={"overlap_s": 60}, headers=rotate)
        assert (repeated.status_code, repeated.json()["key"]["id"]) == (201, rotated.json()["key"]["id"])

    async def test_a_key_made_by_a_gateway_that_died_is_not_made_again(self, broker: Broker) -> None:
        book = KeyBook(broker)

        async def made() -> tuple[str, bool]:
            new = await book.create(name="x", tenant="a", scopes=[Scope.READ], principal="test", request="one")
            return new.key.id, bool(new.text)

        (first, shown), (again, shown_again) = await made(), await made()
        assert (first == again, shown, shown_again) == (True, True, False)

        rotated = [await book.rotate(first, overlap=timedelta(0), principal="test", request="two") for _ in range(2)]
        assert rotated[0].key.id == rotated[1].key.id
        assert [bool(each.text) for each in rotated] == [True, False]

    async def test_keys_of_two_principals_have_nothing_to_do_with_each_other(
        self, gateway: Gateway, broker: Broker
    ) -> None:
        book = KeyBook(broker)
        one, other = await key(book, gateway, Scope.INGEST), await key(book, gateway, Scope.INGEST)
        first = await gateway.http.post("/v1/documents", json=NOTE, headers={**one, **KEY})
        second = await gateway.http.post("/v1/documents", json=NOTE, headers={**other, **KEY})

        assert second.status_code == 202
        assert second.json()["document_id"] != first.json()["document_id"]
