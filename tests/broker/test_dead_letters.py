"""Dead letters over HTTP: read, sent back, thrown away; on a real broker with real gateways."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from contracts import subjects, topology
from contracts.answers import Failed
from contracts.documents import IngestRequest
from contracts.errors import ErrorCode, PermanentError
from contracts.queries import QueryRequest
from messaging.app import WorkerApp
from messaging.delivery import Delivery
from messaging.storage import Storage
from messaging.terminals import Terminals
from messaging.uploads import UploadMissingError, Uploads
from tests.support.failing_ingest import fail, letters
from tests.support.gateways import TEXT, Gateway
from tests.support.waiting import until
from tests.support.workers import running


async def document(gateway: Gateway, document_id: str) -> dict[str, Any]:
    shown: dict[str, Any] = (await gateway.http.get(f"/v1/documents/{document_id}")).json()
    return shown


async def replay(gateway: Gateway, letter_id: str) -> tuple[int, dict[str, Any]]:
    response = await gateway.http.post(f"/v1/dlq/{letter_id}/replay")
    return response.status_code, response.json()


async def test_a_letter_says_what_failed_where_and_why(gateway, ingest):
    letter = await fail(gateway, "bees")
    assert (letter["stream"], letter["consumer"], letter["subject"]) == (
        "INGEST",
        "ingest",
        "rag.ingest.requests.default",
    )
    assert (letter["code"], letter["reason"], letter["attempts"]) == ("parser_crashed", "the parser is broken", 1)
    whole = (await gateway.http.get(f"/v1/dlq/{letter['id']}")).json()
    assert whole["letter"] == letter
    assert whole["error_chain"] == ["PermanentError: the parser is broken", "OSError: no parser"]
    assert IngestRequest.from_bytes(whole["payload"].encode()).document_id == "bees"
    assert whole["headers"]["Nats-Msg-Id"].startswith("default.bees.")


async def test_a_replayed_document_is_run_again_and_its_failure_is_gone(gateway, ingest, broker):
    letter = await fail(gateway, "bees")
    failed = ingest.seen[0]
    assert (await document(gateway, "bees"))["failure"]["code"] == "parser_crashed"
    ingest.mended = True

    assert await replay(gateway, letter["id"]) == (202, {"id": letter["id"], "state": "replayed"})

    await until(lambda: len(ingest.seen) == 2)
    again = ingest.seen[1]
    assert (again.document_id, again.sha256, again.name) == (failed.document_id, failed.sha256, failed.name)
    assert again.generation != failed.generation
    shown = await document(gateway, "bees")
    assert (shown["state"], shown["version"], shown["failure"]) == ("submitted", 2, None)
    uploads = Uploads(broker)
    assert b"".join([p async for p in uploads.read("default", "bees", again.generation, "content")]).decode() == TEXT

    async def original_is_gone() -> bool:
        try:
            async for _ in uploads.read("default", "bees", failed.generation, "content"):
                return False
        except UploadMissingError:
            return True
        return False

    await until(original_is_gone)
    assert await letters(gateway) == []
    assert (await replay(gateway, letter["id"]))[0] == 404


async def test_replays_at_once_run_a_document_once(gateway, ingest):
    letter = await fail(gateway, "bees")
    ingest.mended = True
    outcomes = await asyncio.gather(*(replay(gateway, letter["id"]) for _ in range(5)))
    assert {status for status, _ in outcomes} <= {202, 404}
    assert 202 in {status for status, _ in outcomes}
    await until(lambda: len(ingest.seen) == 2)
    assert (await document(gateway, "bees"))["version"] == 2
    assert len({request.generation for request in ingest.seen}) == 2


async def test_a_document_that_was_submitted_since_is_not_replayed(gateway, ingest):
    letter = await fail(gateway, "bees")
    ingest.mended = True
    body = {"name": "bees.txt", "text": "Another text.", "document_id": "bees"}
    await gateway.http.post("/v1/documents", json=body)

    status, problem = await replay(gateway, letter["id"])

    assert (status, problem["code"]) == (409, "conflict")
    assert "submitted again" in problem["detail"]
    assert [kept["id"] for kept in await letters(gateway)] == [letter["id"]]


async def test_a_deleted_document_is_not_brought_back(gateway, ingest):
    letter = await fail(gateway, "bees")
    await gateway.http.delete("/v1/documents/bees")
    assert (await replay(gateway, letter["id"]))[0] == 409
    assert (await document(gateway, "bees"))["state"] == "deleted"


async def test_a_dropped_letter_is_gone(gateway, ingest):
    letter = await fail(gateway, "bees")
    assert (await gateway.http.delete(f"/v1/dlq/{letter['id']}")).status_code == 204
    assert (await gateway.http.delete(f"/v1/dlq/{letter['id']}")).status_code == 404
    assert await letters(gateway) == []


async def test_what_cannot_be_read_goes_back_as_it_was(gateway, ingest, broker):
    given = {"X-Of": "me", subjects.HEADER_REQUEUED: "1-1"}
    await broker.publish_bytes("rag.ingest.requests.default", b"\xff no json", stream="INGEST", headers=given)
    await until(lambda: letters(gateway))
    (letter,) = await letters(gateway, code="invalid_message")
    whole = (await gateway.http.get(f"/v1/dlq/{letter['id']}")).json()
    assert (whole["payload_encoding"], whole["payload"]) == ("base64", "/yBubyBqc29u")

    assert (await replay(gateway, letter["id"]))[0] == 202

    async def is_another() -> bool:
        return [kept["id"] for kept in await letters(gateway)] not in ([], [letter["id"]])

    await until(is_another)  # it is as bad as before
    (second,) = await letters(gateway)
    headers = (await gateway.http.get(f"/v1/dlq/{second['id']}")).json()["headers"]
    assert (headers["X-Of"], headers["Nats-Msg-Id"]) == ("me", f"replay.{letter['id']}")
    assert subjects.HEADER_REQUEUED not in headers  # it begins anew


async def test_a_query_that_has_ended_is_not_asked_again(gateway, broker, process_settings, table):
    retrieve = WorkerApp(process_settings, service="retrieve", table=table)

    async def give_up(request: QueryRequest, error: PermanentError) -> None:
        failed = Failed(query_id=request.query_id, code=error.code, message=str(error), retryable=False)
        await Terminals(retrieve.broker).end(failed)

    @retrieve.consumes(topology.QUERY_WORKERS, QueryRequest, on_dead_letter=give_up)
    async def on_query(_: QueryRequest, __: Delivery) -> None:
        raise PermanentError("no index", code=ErrorCode.RETRIEVAL_FAILED)

    async with running(retrieve):
        await gateway.http.post("/v1/query", json={"query": "Why do bees dance?"})
        await until(lambda: letters(gateway, stream="QUERY"))
        (letter,) = await letters(gateway)
        status, problem = await replay(gateway, letter["id"])
    assert letter["query_id"]
    assert status == 409
    assert "ask again" in problem["detail"]


async def test_letters_are_paged_and_chosen(gateway, ingest, broker):
    ids = [(await fail(gateway, name))["id"] for name in ("a", "b", "c")]
    await broker.publish_bytes("rag.ingest.requests.default", b"{}", stream="INGEST")
    await until(lambda: letters(gateway, code="invalid_message"))
    first = (await gateway.http.get("/v1/dlq", params={"limit": 2})).json()
    rest = (await gateway.http.get("/v1/dlq", params={"limit": 2, "cursor": first["next"]})).json()
    assert [letter["id"] for letter in first["items"]] == ids[:2]
    assert rest["items"][0]["id"] == ids[2]
    assert rest["next"] is None
    assert [letter["document_id"] for letter in await letters(gateway, document_id="b")] == ["b"]
    assert len(await letters(gateway, code="parser_crashed")) == 3
    assert await letters(gateway, stream="EMBED") == []
    assert (await gateway.http.get("/v1/dlq", params={"stream": "a.b"})).status_code == 422
    assert (await gateway.http.get("/v1/dlq/no-such")).status_code == 404


async def test_many_are_replayed_by_filter_page_by_page(gateway, ingest):
    for name in ("a", "b", "c"):
        await fail(gateway, name)
    await gateway.http.delete("/v1/documents/b")
    ingest.mended = True
    replayed, refused = [], []
    cursor: str | None = "0"
    while cursor is not None:
        body = {"code": "parser_crashed", "limit": 2, "cursor": cursor}
        result = (await gateway.http.post("/v1/dlq/replay", json=body)).json()
        replayed += result["items"]
        refused += result["refused"]
        cursor = result["next"]
    assert (len(replayed), len(refused)) == (2, 1)
    assert "deleted" in refused[0]["reason"]
    assert [letter["document_id"] for letter in await letters(gateway)] == ["b"]
    await until(lambda: {request.document_id for request in ingest.seen[3:]} == {"a", "c"})


async def test_a_tenant_sees_only_its_own(gateway, ingest, broker):
    await broker.publish_bytes("rag.ingest.requests.other", b"{}", stream="INGEST")
    storage = Storage(broker)
    await until(lambda: storage.count(topology.DLQ.name, subjects.dead_letter("INGEST", "*")))
    (stored,) = await storage.following(topology.DLQ.name, subjects.dead_letter("INGEST", "*"))
    letter_id = stored.subject.removeprefix("rag.dlq.")
    assert await letters(gateway) == []
    assert (await gateway.http.get(f"/v1/dlq/{letter_id}")).status_code == 404
    assert (await replay(gateway, letter_id))[0] == 404
    assert (await gateway.http.delete(f"/v1/dlq/{letter_id}")).status_code == 404
    assert await storage.count(topology.DLQ.name, subjects.dead_letter("INGEST", "*")) == 1


async def test_what_was_cut_is_not_sent_back(gateway, ingest, broker):
    whole = b'{"padding": "' + b"x" * 900_000 + b'"}'
    await broker.publish_bytes("rag.ingest.requests.default", whole, stream="INGEST")
    await until(lambda: letters(gateway))
    (letter,) = await letters(gateway)
    assert letter["size_bytes"] == len(whole)
    assert (await gateway.http.get(f"/v1/dlq/{letter['id']}")).json()["cut"] is True
    status, problem = await replay(gateway, letter["id"])
    assert status == 409
    assert str(len(whole)) in problem["detail"]


@pytest.mark.parametrize("name", ["document_id", "query_id"])
async def test_whatever_stands_in_a_letter_it_can_be_listed(gateway, ingest, broker, name):
    payload = b'{"%s": "\\ud800"}' % name.encode()
    await broker.publish_bytes("rag.ingest.requests.default", payload, stream="INGEST")
    await until(lambda: letters(gateway))
    (letter,) = await letters(gateway)
    assert letter[name] is None
    assert (await gateway.http.get(f"/v1/dlq/{letter['id']}")).status_code == 200


async def test_a_cursor_beyond_all_positions_is_refused(gateway):
    assert (await gateway.http.get("/v1/dlq", params={"cursor": 2**63})).status_code == 422
    assert (await gateway.http.post("/v1/dlq/replay", json={"cursor": 2**63})).status_code == 422


async def test_a_query_is_not_asked_again_after_its_deadline_even_if_its_end_is_forgotten(gateway, broker, worker):
    @worker.consumes(topology.QUERY_WORKERS, QueryRequest)
    async def on_query(_: QueryRequest, __: Delivery) -> None:
        raise PermanentError("no index", code=ErrorCode.RETRIEVAL_FAILED)

    async with running(worker):
        await gateway.http.post("/v1/query", json={"query": "Why?", "deadline_s": 0.5})
        await until(lambda: letters(gateway))
    (letter,) = await letters(gateway)
    await Storage(broker).purge(topology.TERMINALS.name, ">")  # as age does
    assert (await replay(gateway, letter["id"]))[0] == 409
