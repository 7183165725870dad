"""Documents by URL over HTTP, on a real broker and from a real server."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from contracts.documents import DocumentRecord
from contracts.sources import document_of
from messaging.broker import Broker
from messaging.ledger import DocumentLedger
from messaging.storage import Storage
from messaging.submissions import Submissions
from messaging.uploads import Uploads
from tests.support.gateways import QUICK, FakeIngest, Gateway, running_gateway
from tests.support.sources import SourceServer
from tests.support.waiting import until

LIMIT = QUICK.upload_max_bytes


@pytest.fixture
async def server() -> AsyncIterator[SourceServer]:
    async with SourceServer.running() as server:
        yield server


@asynccontextmanager
async def fetching_gateway(nats_url: str, server: SourceServer, **options: Any) -> AsyncIterator[Gateway]:
    allowed = {
        "url_ingestion": "listed",
        "url_hosts": f"127.0.0.1:{server.port}",
        "url_allowed_networks": "127.0.0.1/32",
    }
    async with running_gateway(nats_url, **allowed | options) as running:
        await running.ready()
        yield running


@pytest.fixture
async def gateway(broker: Broker, nats_server, server: SourceServer) -> AsyncIterator[Gateway]:
    async with fetching_gateway(nats_server.url, server) as running:
        yield running


@pytest.fixture
def ingest(broker: Broker) -> FakeIngest:
    return FakeIngest(broker)


async def submit(gateway: Gateway, url: str, *, status: int = 202, **fields: Any) -> Any:
    response = await gateway.http.post("/v1/documents/url", json={"url": url, **fields})
    assert response.status_code == status, response.text
    return response.json()


async def stored(broker: Broker) -> int:
    return await Storage(broker).count("OBJ_uploads", ">")


async def test_a_document_is_stored_with_where_it_came_from(gateway, server, broker):
    url = server.put("/docs/handbook.pdf", b"x" * 150_000, headers={"ETag": '"1"'})
    accepted = await submit(gateway, url + "#page=3", metadata={"topic": "bees"})
    assert accepted == {
        "document_id": document_of(url), "name": "handbook.pdf", "version": 1, "state": "submitted", "unchanged": False
    }  # fmt: skip
    shown = (await gateway.http.get(f"/v1/documents/{accepted['document_id']}")).json()
    assert shown["source"] == {"url": url, "etag": '"1"', "last_modified": None}
    assert (shown["size_bytes"], shown["metadata"]) == (150_000, {"topic": "bees"})
    content = await gateway.http.get(f"/v1/documents/{accepted['document_id']}/content")
    assert content.content == b"x" * 150_000
    assert await Storage(broker).count("INGEST", ">") == 1


async def test_what_has_not_changed_is_neither_sent_nor_redone(gateway, server, ingest, broker):
    url = server.put("/a.txt", headers={"ETag": '"1"'})
    accepted = await submit(gateway, url)
    await ingest.through(accepted["document_id"])
    before = await stored(broker)
    again = await submit(gateway, url)
    assert (again["unchanged"], again["version"], again["state"]) == (True, 1, "ready")
    assert server.asked[-1].headers["if-none-match"] == '"1"'
    assert await stored(broker) == before
    server.put("/a.txt", b"Bees sing.", headers={"ETag": '"2"'})
    changed = await submit(gateway, url)
    assert (changed["document_id"], changed["version"], changed["unchanged"]) == (accepted["document_id"], 2, False)


async def test_the_same_content_of_a_server_that_knows_no_versions_is_not_redone(gateway, server, ingest, broker):
    url = server.put("/a.txt")
    await ingest.through((await submit(gateway, url))["document_id"])
    before = await stored(broker)
    assert (await submit(gateway, url))["unchanged"] is True
    assert await stored(broker) == before


@pytest.mark.parametrize("fields", [{"metadata": {"a": "b"}}, {"name": "other.txt"}, {"document_id": "other"}])
async def test_another_name_or_metadata_is_another_version_also_of_what_has_not_changed(gateway, server, fields):
    url = server.put("/a.txt", headers={"ETag": '"1"'})
    await submit(gateway, url)
    assert (await submit(gateway, url, **fields))["unchanged"] is False
    assert "if-none-match" not in server.asked[-1].headers


async def test_a_failed_or_deleted_document_is_fetched_anew(gateway, server, broker):
    url = server.put("/a.txt", headers={"ETag": '"1"'})
    document_id = (await submit(gateway, url))["document_id"]
    await gateway.http.delete(f"/v1/documents/{document_id}")
    again = await submit(gateway, url)
    assert (again["unchanged"], again["version"], again["state"]) == (False, 2, "submitted")


async def test_a_submission_that_runs_again_keeps_where_it_came_from(gateway, server, broker):
    document_id = (await submit(gateway, server.put("/a.txt", headers={"ETag": '"1"'})))["document_id"]
    ledger, uploads = DocumentLedger(broker), Uploads(broker)
    first = await _record(ledger, document_id)
    await Submissions(broker, ledger, uploads).resubmit("default", document_id, first.latest.generation)
    again = await _record(ledger, document_id)
    assert again.latest.generation != first.latest.generation
    assert again.latest.source == first.latest.source


async def _record(ledger: DocumentLedger, document_id: str) -> DocumentRecord:
    record = await ledger.get("default", document_id)
    assert record is not None
    return record


async def test_other_records_are_as_releases_before_wrote_them(gateway, broker):
    await gateway.http.post("/v1/documents", json={"name": "a", "text": "b", "document_id": "a"})
    record = await _record(DocumentLedger(broker), "a")
    assert b"source" not in record.model_dump_json().encode()


async def test_what_is_not_given_is_a_problem_and_leaves_nothing(gateway, server, broker):
    bomb = gzip.compress(bytes(8 * LIMIT))
    urls = {
        server.put("/large", b"", length=LIMIT + 1, hangs=True): (413, "too_large"),
        server.put("/endless", b"", length=None, endless=True): (413, "too_large"),
        server.put("/bomb", bomb, headers={"Content-Encoding": "gzip"}): (413, "too_large"),
        server.put("/lies", b"x" * 140_000, length=150_000): (502, "source_unavailable"),
        server.put("/gone", b"", status=410): (422, "source_refused"),
        server.put("/broken", b"", status=500): (502, "source_unavailable"),
        server.redirect("/out", "http://10.0.0.8/"): (422, "url_not_allowed"),
        "http://127.0.0.1:4222/": (422, "url_not_allowed"),
        "file:///etc/passwd": (422, "url_not_allowed"),
        "http://user:secret@127.0.0.1/": (422, "url_not_allowed"),
    }
    for url, (status, code) in urls.items():
        problem = await submit(gateway, url, status=status)
        assert (url, problem["code"]) == (url, code)
    assert await stored(broker) == 0
    assert await Storage(broker).count("INGEST", ">") == 0
    assert await Storage(broker).count("KV_documents", ">") == 0


async def test_a_limit_s_worth_is_stored_and_a_byte_more_is_not(gateway, server, broker):
    await submit(gateway, server.put("/exact", b"x" * LIMIT, length=None))
    before = await stored(broker)
    await submit(gateway, server.put("/more", b"x" * (LIMIT + 1), length=None), status=413)
    assert await stored(broker) == before


async def test_a_drip_is_cut_and_nothing_of_it_stays(nats_server, broker, server):
    async with fetching_gateway(nats_server.url, server, url_timeout_s=1.5) as gateway:
        url = server.put("/a", b"x" * 200_000, length=None, drips=True)
        submitting = asyncio.create_task(submit(gateway, url, status=504))

        async def begun() -> bool:
            return await stored(broker) > 0

        await until(begun)
        assert (await submitting)["code"] == "source_timeout"
        assert await stored(broker) == 0
        await until(lambda: server.open == 0)


async def test_by_default_nothing_is_fetched(nats_server, broker, server):
    async with running_gateway(nats_server.url) as gateway:
        await gateway.ready()
        problem = await submit(gateway, server.put("/a"), status=422)
        assert (problem["code"], "WAGGLE_URL_INGESTION" in problem["detail"]) == ("url_not_allowed", True)
        assert server.connections == 0


async def test_public_means_public_and_the_message_names_no_address(nats_server, broker, server):
    async with running_gateway(
        nats_server.url, url_ingestion="public", url_hosts=f"localhost:{server.port}"
    ) as gateway:
        await gateway.ready()
        for url in (
            f"http://localhost:{server.port}/",
            "http://169.254.169.254/latest/meta-data/",
            "http://127.0.0.1/",
        ):
            problem = await submit(gateway, url, status=422)
            assert problem["code"] == "url_not_allowed"
        unknown = await submit(gateway, "http://no..such.name/", status=422)
        inside = await submit(gateway, "http://localhost/", status=422)
        assert unknown["detail"].replace("no..such.name", "x") == inside["detail"].replace("localhost", "x")
        assert server.connections == 0


@pytest.mark.parametrize(
    "body",
    [{}, {"url": ""}, {"url": 1}, {"url": "http://a/", "tenant": "other"}, {"url": "http://a/", "document_id": "a.b"}, {"url": "a" * 3000}],
)  # fmt: skip
async def test_what_is_no_submission_is_refused(gateway, body):
    response = await gateway.http.post("/v1/documents/url", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid_request")


async def test_a_tenant_has_no_more_room_for_what_is_fetched_than_for_what_is_sent(nats_server, broker, server):
    async with fetching_gateway(nats_server.url, server, tenant_max_bytes=1000) as gateway:
        assert (await submit(gateway, server.put("/large", b"x" * 2000), status=403))["code"] == "quota_exceeded"
        assert (await submit(gateway, server.put("/long", b"x" * 2000, length=None), status=403))[
            "code"
        ] == "quota_exceeded"
        await submit(gateway, server.put("/small", b"x" * 900))
        assert await Storage(broker).count("KV_documents", ">") == 1
