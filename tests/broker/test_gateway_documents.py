"""Documents over HTTP, on a real broker."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from contracts.identifiers import new_id
from messaging.broker import Broker
from messaging.storage import Storage
from tests.support.gateways import QUICK, TEXT, FakeIngest, Gateway, running_gateway
from tests.support.waiting import until


@pytest.fixture
async def gateway(broker: Broker, nats_server) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as running:
        await running.ready()
        yield running


@pytest.fixture
def ingest(broker: Broker) -> FakeIngest:
    return FakeIngest(broker)


async def submit(gateway: Gateway, **fields) -> Any:
    response = await gateway.http.post("/v1/documents", json={"name": "bees.txt", "text": TEXT, **fields})
    assert response.status_code == 202, response.text
    return response.json()


async def listed(gateway: Gateway, **parameters) -> Any:
    return (await gateway.http.get("/v1/documents", params=parameters)).json()["items"]


def file(name: str, content: bytes | str = b"content") -> tuple[str, tuple[str, bytes, str]]:
    return "files", (name, content if isinstance(content, bytes) else content.encode(), "application/octet-stream")


async def test_a_text_is_accepted_and_readable_at_once(gateway, broker):
    accepted = await submit(gateway, metadata={"topic": "bees"}, document_id="bees")
    assert accepted == {
        "document_id": "bees", "name": "bees.txt", "version": 1, "state": "submitted", "unchanged": False
    }  # fmt: skip
    shown = (await gateway.http.get("/v1/documents/bees")).json()
    assert (shown["state"], shown["metadata"], shown["size_bytes"]) == (
        "submitted", {"topic": "bees"}, len(TEXT.encode())
    )  # fmt: skip
    assert await Storage(broker).count("INGEST", ">") == 1


async def test_several_files_are_stored_byte_for_byte_each_under_its_own_id(gateway, broker):
    contents = {"a.pdf": bytes(range(256)) * 700, "蜜蜂.txt": "蜜蜂".encode(), "empty": b""}
    response = await gateway.http.post(
        "/v1/documents", data={"metadata": '{"lang": "zh"}'}, files=[file(*item) for item in contents.items()]
    )
    assert response.status_code == 202
    items = response.json()["items"]
    assert [item["name"] for item in items] == list(contents)
    for item in items:
        shown = (await gateway.http.get(f"/v1/documents/{item['document_id']}")).json()
        assert shown["sha256"] == hashlib.sha256(contents[item["name"]]).hexdigest()
        assert shown["metadata"] == {"lang": "zh"}


async def test_the_same_content_under_the_same_id_is_not_redone(gateway, ingest, broker):
    await submit(gateway, document_id="bees")
    await ingest.through("bees")
    again = await submit(gateway, document_id="bees")
    assert (again["unchanged"], again["version"], again["state"]) == (True, 1, "ready")
    changed = await submit(gateway, document_id="bees", text="Bees sing.")
    assert (changed["unchanged"], changed["version"], changed["state"]) == (False, 2, "submitted")
    shown = (await gateway.http.get("/v1/documents/bees")).json()
    assert (shown["version"], shown["visible_version"]) == (2, 1)


async def test_a_text_that_is_too_large_is_refused(gateway):
    body = {"name": "big.txt", "text": "x" * (QUICK.upload_max_bytes + 1)}
    response = await gateway.http.post("/v1/documents", json=body)
    assert (response.status_code, response.json()["code"]) == (413, "too_large")


async def test_a_file_that_is_too_large_is_refused_and_nothing_of_it_stays(gateway, broker):
    limit = QUICK.upload_max_bytes
    exact = await gateway.http.post("/v1/documents", files=[file("exact", b"x" * limit)])
    assert exact.status_code == 202
    before = await Storage(broker).count("OBJ_uploads", ">")
    response = await gateway.http.post("/v1/documents", files=[file("big.bin", b"x" * (limit + 1))])
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"
    assert str(limit) in response.json()["detail"]
    assert await Storage(broker).count("OBJ_uploads", ">") == before


async def test_a_refused_file_does_not_take_its_neighbours_with_it(gateway):
    files = [file("a.txt"), file("big.bin", b"x" * (QUICK.upload_max_bytes + 1)), file("x" * 513), file("b.txt")]
    response = await gateway.http.post("/v1/documents", files=files)
    assert response.status_code == 202
    outcomes = [(item["name"], item.get("problem", {}).get("status")) for item in response.json()["items"]]
    assert outcomes[0] == ("a.txt", None)
    assert outcomes[1] == ("big.bin", 413)
    assert outcomes[2][1] == 422
    assert outcomes[3] == ("b.txt", None)


async def test_an_endless_upload_is_refused_once_it_is_above_the_limit(gateway):
    async def endless() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="endless"\r\n\r\n'
        while not refused:
            yield b"x" * 65536

    refused: list[int] = []
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with gateway.http.stream("POST", "/v1/documents", content=_until(endless(), refused), headers=headers) as r:
        refused.append(r.status_code)
    assert refused == [413]


async def _until(pieces: AsyncIterator[bytes], refused: list[int]) -> AsyncIterator[bytes]:
    """As long as a client sends that looks for an early answer only after 4 MiB."""
    sent = 0
    async for piece in pieces:
        yield piece
        sent += len(piece)
        if sent > 4 * 1024 * 1024:
            return


@pytest.mark.parametrize(
    ("parts", "status", "detail"),
    [
        ({"files": [file("a"), file("b")], "data": {"document_id": "one"}}, 202, "single file"),
        ({"files": [file("a")], "data": {"document_id": "a.b"}}, 422, "document_id"),
        ({"files": [file("a")], "data": {"metadata": "[1]"}}, 422, "metadata"),
        ({"files": [file("a")], "data": {"metadata": "{"}}, 422, "metadata"),
        ({"files": [file("a")], "data": {"metadata": '{"a": 1}'}}, 422, "metadata"),
        ({"files": [file("a")], "data": {"tenant": "other"}}, 422, "tenant"),
        ({"files": [file("x" * 513)]}, 422, "file name"),
    ],
)
async def test_form_fields_are_judged(gateway, parts, status, detail):
    response = await gateway.http.post("/v1/documents", **parts)
    assert response.status_code == status
    assert detail in response.text


async def test_metadata_after_a_file_is_refused_and_the_file_is_still_told_of(gateway):
    body = (
        b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\ncontent\r\n'
        b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n--x--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await gateway.http.post("/v1/documents", content=body, headers=headers)
    items = response.json()["items"]
    assert response.status_code == 202
    assert items[0]["document_id"]
    assert "before the files" in items[1]["problem"]["detail"]


BROKEN_OFF = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\ncontent'


@pytest.mark.parametrize(
    ("content_type", "body", "status"),
    [
        ("multipart/form-data; boundary=x", b"--x--\r\n", 422),
        ("multipart/form-data; boundary=x", b"nonsense", 400),
        ("multipart/form-data; boundary=x", BROKEN_OFF, 400),
        ("multipart/form-data", b"", 400),
        ("text/plain", b"hello", 415),
        ("application/json", b'{"name": "a"}', 422),
        ("application/json", b'{"name": "a", "text": ""}', 422),
        ("application/json", b'{"name": "a\\u0007", "text": "b"}', 422),
        ("application/json", b'{"name": "a", "text": "b", "tenant": "other"}', 422),
        ("application/json", b'{"name": "a", "text": "\\ud800"}', 400),
        ("application/json", b'{"name": "a", "text": "b", "document_id": "*"}', 422),
    ],
)
async def test_what_is_no_submission_is_a_problem(gateway, content_type, body, status):
    response = await gateway.http.post("/v1/documents", content=body, headers={"Content-Type": content_type})
    assert response.status_code == status, response.text
    assert response.json()["status"] == status


async def test_an_upload_that_stops_halfway_is_cut_and_nothing_of_it_stays(gateway, broker):
    async def stalling() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + b"x" * 200_000
        await until(lambda: bool(answered), timeout_s=60)

    answered: list[int] = []
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    request = gateway.http.build_request("POST", "/v1/documents", content=stalling(), headers=headers)

    async def send() -> Any:
        response = await gateway.http.send(request)
        return response.status_code

    sending = asyncio.create_task(send())
    storage = Storage(broker)

    async def stored() -> bool:
        return await storage.count("OBJ_uploads", ">") > 0

    async def gone() -> bool:
        return await storage.count("OBJ_uploads", ">") == 0

    await until(stored)
    await until(gone, timeout_s=60)
    answered.append(1)
    assert await sending == 408


async def test_documents_are_listed_newest_first_by_page_and_state(gateway, ingest):
    for name in "abcde":
        await submit(gateway, document_id=name)
    await ingest.through("b")
    await gateway.http.delete("/v1/documents/c")

    async def settled() -> bool:
        return {(i["document_id"], i["state"]) for i in await listed(gateway)} == {
            ("a", "submitted"), ("b", "ready"), ("d", "submitted"), ("e", "submitted")
        }  # fmt: skip

    await until(settled)
    first = (await gateway.http.get("/v1/documents", params={"limit": 3})).json()
    second = (await gateway.http.get("/v1/documents", params={"limit": 3, "cursor": first["next"]})).json()
    assert [item["document_id"] for item in first["items"] + second["items"]] == ["e", "d", "b", "a"]
    assert second["next"] is None
    assert [item["document_id"] for item in await listed(gateway, state="ready")] == ["b"]
    assert [item["document_id"] for item in await listed(gateway, state="deleted")] == ["c"]


@pytest.mark.parametrize("parameters", [{"state": "lost"}, {"limit": 0}, {"cursor": "x"}, {"cursor": "e30"}])
async def test_a_list_that_cannot_be_made_is_a_problem(gateway, parameters):
    response = await gateway.http.get("/v1/documents", params=parameters)
    assert response.status_code == 422
    assert response.headers["content-type"] == "application/problem+json"


async def test_the_text_is_given_by_characters_not_bytes(gateway, ingest):
    await submit(gateway, document_id="bees")
    text = TEXT * 9000  # several pieces of the object store, cut inside of characters
    record = await ingest.through("bees", text=text)
    whole = await gateway.http.get("/v1/documents/bees/text")
    assert whole.text == text
    assert whole.headers["content-type"] == "text/plain; charset=utf-8"
    for start, end in ((0, 11), (12, 14), (131_000, 300_005), (len(text) - 3, len(text) + 9), (7, 7)):
        part = await gateway.http.get("/v1/documents/bees/text", params={"start": start, "end": end})
        assert part.text == text[start:end]
    named = await gateway.http.get(
        "/v1/documents/bees/text", params={"generation": record.latest.generation, "start": len(text) - 2}
    )
    assert named.text == text[-2:]
    assert (await gateway.http.get("/v1/documents/bees/text", params={"start": 5, "end": 4})).status_code == 422


async def test_the_original_is_a_download_that_no_browser_runs(gateway, ingest):
    name = '../页面 "1".html'
    script = b"<script>alert(1)</script>"
    accepted = (await gateway.http.post("/v1/documents", files=[file(name, script)])).json()["items"][0]
    response = await gateway.http.get(f"/v1/documents/{accepted['document_id']}/content")
    assert response.content == script
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["x-content-type-options"] == "nosniff"
    disposition = response.headers["content-disposition"]
    assert disposition.startswith("attachment; ")
    assert "filename*=UTF-8''%E9%A1%B5%E9%9D%A2%20%221%22.html" in disposition
    await ingest.through(accepted["document_id"])
    assert (await gateway.http.get(f"/v1/documents/{accepted['document_id']}/content")).headers[
        "content-type"
    ] == "text/plain"


async def test_a_deleted_document_is_a_tombstone_without_contents(gateway, ingest):
    await submit(gateway, document_id="bees")
    await ingest.through("bees")
    deleted = await gateway.http.delete("/v1/documents/bees")
    assert (deleted.status_code, deleted.json()) == (
        202, {"document_id": "bees", "version": 1, "state": "deleted"}
    )  # fmt: skip
    assert (await gateway.http.delete("/v1/documents/bees")).status_code == 202
    assert (await gateway.http.get("/v1/documents/bees")).json()["state"] == "deleted"
    for path in ("text", "content"):
        assert (await gateway.http.get(f"/v1/documents/bees/{path}")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", ""), ("DELETE", ""), ("GET", "/events"), ("GET", "/text"), ("GET", "/content")],
)
async def test_an_unknown_document_is_not_found_on_every_route(gateway, method, path):
    response = await gateway.http.request(method, f"/v1/documents/{new_id()}{path}")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")
    assert (await gateway.http.request(method, f"/v1/documents/a.b{path}")).status_code == 422


async def test_text_that_is_not_extracted_yet_is_not_found(gateway):
    await submit(gateway, document_id="bees")
    assert (await gateway.http.get("/v1/documents/bees/text")).status_code == 404
    unknown = await gateway.http.get("/v1/documents/bees/text", params={"generation": new_id()})
    assert unknown.status_code == 404


async def test_progress_is_told_from_submission_to_the_end(gateway, ingest):
    await submit(gateway, document_id="bees")
    told: list[tuple[str, dict]] = []
    async with gateway.http.stream("GET", "/v1/documents/bees/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        record = None
        async for name, data in events(response):
            told.append((name, data))
            if name == "submitted":
                record = await ingest.planned("default", "bees")
            elif name == "planned":
                await ingest.batch_done(record, 0)
            elif name == "progress" and data["batches_done"] == 1:
                await ingest.batch_done(record, 1)
            elif name == "progress":
                await ingest.ready(record)
    assert [name for name, _ in told] == ["submitted", "planned", "progress", "progress", "ready"]
    assert [data.get("batches_done") for _, data in told] == [None, 0, 1, 2, 2]
    assert told[-1][1]["state"] == "ready"


async def test_progress_of_an_ended_document_is_its_end(gateway, ingest):
    await submit(gateway, document_id="bees")
    await ingest.through("bees")
    async with gateway.http.stream("GET", "/v1/documents/bees/events") as response:
        assert [name async for name, _ in events(response)] == ["ready"]


async def test_a_watched_submission_that_is_replaced_or_deleted_ends_so(gateway):
    await submit(gateway, document_id="bees")
    names = []
    async with gateway.http.stream("GET", "/v1/documents/bees/events") as response:
        async for name, data in events(response):
            names.append((name, data["version"]))
            if name == "submitted":
                await submit(gateway, document_id="bees", text="Bees sing.")
    assert names == [("submitted", 1), ("superseded", 1)]
    await gateway.http.delete("/v1/documents/bees")
    async with gateway.http.stream("GET", "/v1/documents/bees/events") as response:
        assert [name async for name, _ in events(response)] == ["deleted"]


async def events(response) -> AsyncIterator[tuple[str, dict]]:
    name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "event":
            name = value
        elif field == "data":
            yield name, json.loads(value)


async def test_uploads_that_failed_leave_nothing_half_written(gateway, broker):
    """A body that breaks off: the client said goodbye in the middle."""

    async def broken() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n' + b"x" * 150_000

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    response = await gateway.http.post("/v1/documents", content=broken(), headers=headers)
    assert response.status_code == 400
    assert await Storage(broker).count("OBJ_uploads", ">") == 0


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
OPENING = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a"\r\n\r\n'


@pytest.mark.parametrize("declared", [True, False], ids=["length", "chunked"])
async def test_of_a_byte_too_many_no_more_than_the_limit_is_ever_stored(gateway, broker, monkeypatch, declared):
    stored: list[int] = []
    publish = Broker.publish_bytes

    async def counted(self, subject, payload, **options):
        if ".C." in subject:
            stored.append(len(payload))
        return await publish(self, subject, payload, **options)

    monkeypatch.setattr(Broker, "publish_bytes", counted)
    body = OPENING + b"x" * (QUICK.upload_max_bytes + 1) + b"\r\n--x--\r\n"

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(body), 10_000):
            yield body[start : start + 10_000]

    content = body if declared else pieces()
    response = await gateway.http.post("/v1/documents", content=content, headers=MULTIPART)
    assert response.status_code == 413
    assert 0 < sum(stored) <= QUICK.upload_max_bytes
    assert await Storage(broker).count("OBJ_uploads", ">") == 0


async def test_an_upload_that_drips_is_cut_as_one_that_stops(gateway, broker):
    answered = asyncio.Event()

    async def dripping() -> AsyncIterator[bytes]:
        yield OPENING + b"x" * 150_000
        while not answered.is_set():
            yield b"x"
            await asyncio.sleep(0.01)

    async def send() -> Any:
        """A sender that goes on sending into a closed connection may not hear why."""
        try:
            return (await gateway.http.post("/v1/documents", content=dripping(), headers=MULTIPART)).status_code
        except httpx.TransportError:
            return 408

    sending = asyncio.create_task(send())

    async def stored() -> int:
        return await Storage(broker).count("OBJ_uploads", ">")

    async def begun() -> bool:
        return await stored() > 0

    async def gone() -> bool:
        return await stored() == 0

    await until(begun)
    await until(gone, timeout_s=60)
    answered.set()
    assert await sending == 408


async def test_form_fields_without_end_are_refused(gateway):
    field = b'--x\r\nContent-Disposition: form-data; name="metadata"\r\n\r\n{}\r\n'
    response = await gateway.http.post("/v1/documents", content=field * 1000 + b"--x--\r\n", headers=MULTIPART)
    assert (response.status_code, "form fields" in response.json()["detail"]) == (413, True)


@pytest.mark.parametrize(
    "head",
    [
        b'Content-Disposition: form-data; name="f"; filename="' + b"a" * 100_000 + b'"',
        b'Content-Disposition: form-data; name="f"; filename="a"\r\n' + b"X-A: b\r\n" * 1000 + b"X-B: c",
        b"X" * 100_000,
    ],
)
async def test_a_part_with_an_endless_head_is_unreadable(gateway, head):
    body = b"--x\r\n" + head + b"\r\n\r\ncontent\r\n--x--\r\n"
    response = await gateway.http.post("/v1/documents", content=body, headers=MULTIPART)
    assert (response.status_code, response.json()["code"]) == (400, "malformed_request")
