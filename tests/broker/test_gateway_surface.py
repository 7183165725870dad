"""What holds for every request: paths, methods, hosts, heads, identity, figures, stopping."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import pytest

from contracts.settings import GatewaySettings
from deploy.local.nats_server import NatsServer
from messaging.app import WorkerApp
from messaging.broker import Broker
from tests.support.gateways import TEXT, FakeWorkers, Gateway, Stage, finishing_after, running_gateway
from tests.support.waiting import until
from tests.support.workers import running


@pytest.fixture
async def gateway(broker: Broker, nats_server: NatsServer) -> AsyncIterator[Gateway]:
    async with running_gateway(nats_server.url) as started:
        await started.ready()
        yield started


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/", 404, "not_found"),
        ("GET", "/v1/nothing", 404, "not_found"),
        ("GET", "/v1/documents/", 404, "not_found"),
        ("GET", "/v1/documents/%2e%2e", 422, "invalid_request"),
        ("GET", "/v1/documents/a/../../nothing", 404, "not_found"),
        ("PUT", "/v1/documents", 405, "method_not_allowed"),
        ("GET", "/v1/query", 405, "method_not_allowed"),
        ("TRACE", "/v1/query", 405, "method_not_allowed"),
        ("OPTIONS", "/v1/query", 405, "method_not_allowed"),
    ],
)
async def test_wrong_paths_and_methods_are_problems_too(gateway, method, path, status, code):
    response = await gateway.http.request(method, gateway.url + path)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert ("allow" in response.headers) == (status == 405)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "127.0.0.1.evil.example:80"}, 421),
        ({"Host": "evil.example:127.0.0.1"}, 421),
        ({"Host": "localhost"}, 200),
        ({"Host": "[::1]:8080"}, 200),
        ({"Origin": "http://evil.example"}, 200),
    ],
)
async def test_only_names_of_this_host_are_served(gateway, headers, status):
    response = await gateway.http.get("/v1/documents", headers=headers)
    assert response.status_code == status


@pytest.mark.parametrize(("origin", "status"), [("http://evil.example", 403), ("null", 403), ("http://localhost", 202)])
async def test_pages_of_other_origins_change_nothing(gateway, origin, status):
    response = await gateway.http.post("/v1/documents", files={"f": ("a", b"x")}, headers={"Origin": origin})
    assert response.status_code == status
    assert "access-control-allow-origin" not in response.headers


async def test_the_fleet_shows_every_process_and_the_gateway_itself(gateway, nats_server):
    settings = GatewaySettings(nats_url=nats_server.url, instance="keeper-7")
    async with running(WorkerApp(settings, service="keeper")):

        async def both_ready() -> bool:
            states = {m["service"]: m["state"] for m in (await gateway.http.get("/v1/fleet")).json()["items"]}
            return states == {"gateway": "ready", "keeper": "ready"}

        await until(both_ready)
        members = (await gateway.http.get("/v1/fleet")).json()["items"]
    keeper = next(member for member in members if member["service"] == "keeper")
    assert (keeper["instance"], keeper["stale"], keeper["state"]) == ("keeper-7", False, "ready")
    assert keeper["rss_bytes"] > 0
    workers = next(c for c in (await gateway.http.get("/health/ready")).json()["checks"] if c["name"] == "workers")
    assert workers["status"] == "failing"
    assert "keeper 1" in workers["detail"]


async def test_the_fleet_is_chosen_by_service_and_state(gateway, nats_server):
    async with running(WorkerApp(GatewaySettings(nats_url=nats_server.url, instance="keeper-7"), service="keeper")):

        async def chosen(**parameters: str) -> list[str]:
            response = await gateway.http.get("/v1/fleet", params=parameters)
            return sorted(member["service"] for member in response.json()["items"])

        async def both_ready() -> bool:
            return await chosen(state="ready") == ["gateway", "keeper"]

        await until(both_ready)
        assert await chosen(service="keeper") == ["keeper"]
        assert await chosen(service="keeper", state="paused") == []
        assert (await gateway.http.get("/v1/fleet", params={"state": "lost"})).status_code == 422


async def test_openapi_describes_every_route_with_examples(gateway):
    document = (await gateway.http.get("/openapi.json")).json()
    assert set(document["paths"]) == {
        "/v1/documents", "/v1/documents/url", "/v1/documents/{document_id}", "/v1/documents/{document_id}/events",
        "/v1/documents/{document_id}/text", "/v1/documents/{document_id}/content", "/v1/query",
        "/v1/queries", "/v1/queries/{query_id}/events", "/v1/queries/{query_id}", "/v1/fleet", "/health/live", "/health/ready",
        "/metrics", "/v1/dlq", "/v1/dlq/replay", "/v1/dlq/{letter_id}", "/v1/dlq/{letter_id}/replay",
        "/v1/alerts", "/v1/alerts/history", "/v1/alerts/{fingerprint}", "/v1/silences", "/v1/silences/{silence_id}",
        "/v1/rules", "/v1/rules/{name}", "/v1/figures", "/v1/health", "/v1/dependencies", "/v1/diagnoses", "/v1/fleet/metrics",
        "/v1/audit", "/v1/recoveries", "/v1/incidents", "/v1/incidents/{incident}",
        *(f"/v1/recovery/{name}" for name in ("pause", "approvals", "policy", "plan")),
        "/v1/keys", "/v1/keys/token", "/v1/keys/{key_id}", "/v1/keys/{key_id}/rotate", "/v1/tenants", "/v1/tenants/{tenant}",
        "/v1/chat/completions", "/v1/embeddings", "/v1/models", "/v1/models/{model}",
        "/v1/config", "/v1/config/rollback", "/v1/config/revisions", "/v1/config/revisions/{number}",
        *(f"/v1/prometheus/api/v1/{name}" for name in (
            "query", "query_range", "series", "labels", "label/{name}/values", "metadata", "status/buildinfo", "rules",
            "alerts",
        )),
    }  # fmt: skip
    form = document["paths"]["/v1/prometheus/api/v1/series"]["post"]["requestBody"]["content"]
    assert form["application/x-www-form-urlencoded"]["schema"]["properties"]["match[]"]["type"] == "array"
    body = document["paths"]["/v1/query"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["examples"]
    assert "$ref" not in json.dumps(body)
    assert "503" in document["paths"]["/v1/query"]["post"]["responses"]


async def raw(gateway: Gateway, request: bytes, *, timeout_s: float = 10) -> bytes:
    """Everything the gateway sends until it closes the connection."""
    host, _, port = gateway.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        async with asyncio.timeout(timeout_s):
            return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("request_head", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /health/live HTTP/1.1\r\nX: " + b"y" * 40_000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"y" * 40_000 + b" HTTP/1.1\r\n\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nX: " + b"y" * 100_000, b"431"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 20_000, b"431"),
    ],
)
async def test_a_head_that_is_unreadable_or_too_large_is_refused_and_the_connection_closed(
    gateway, request_head, status
):
    answer = await raw(gateway, request_head)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answer


async def test_what_comes_behind_the_body_is_no_header(gateway):
    """Trailers: a proxy that does not know them would pass on what it believes to have removed."""
    body = b'{"name": "a", "text": "Bees."}'
    chunked = b"%x\r\n%b\r\n0\r\n" % (len(body), body)
    head = b"POST /v1/documents HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n"
    typed = b"Content-Type: application/json\r\n"

    assert (await raw(gateway, head + typed + b"\r\n" + chunked + b"X-Request-Id: mine\r\n\r\n")).startswith(
        b"HTTP/1.1 202"
    )
    assert b"mine" not in await raw(gateway, head + typed + b"\r\n" + chunked + b"X-Request-Id: mine\r\n\r\n")
    assert b"mine" in await raw(gateway, head + typed + b"X-Request-Id: mine\r\n\r\n" + chunked + b"\r\n")
    assert (await raw(gateway, head + b"\r\n" + chunked + typed + b"\r\n")).startswith(b"HTTP/1.1 415")


async def test_a_head_that_never_ends_is_cut(gateway, monkeypatch):
    monkeypatch.setattr("gateway.protocol.BoundedHttpProtocol.head_timeout_s", 0.2)
    assert await raw(gateway, b"GET /health/live HTTP/1.1\r\nHost: localhost\r\n") == b""


CROWDED = b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}"
DEEP = b'{"query": "x", "filters": ' + b"[" * 100 + b"]" * 100 + b"}"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (b"query", b'{"query": "' + b"x" * 200_000 + b'"}', b"413"),
        (b"query", CROWDED, b"413"),
        (b"query", DEEP, b"422"),
        (b"query", b'{"query": "a\x00b"}', b"400"),
        (b"query", b'{"query": "a\\u0000b"}', b"422"),
        (b"query", b'{"query": "\\ud800"}', b"400"),
        (b"query", b'{"query": "\xed\xa0\x80"}', b"400"),
        (b"documents", b'{"name": "a", "text": "' + b"x" * 13_000_000 + b'"}', b"413"),
        (b"documents", CROWDED, b"422"),
        (b"documents", DEEP, b"422"),
        (b"documents", b'{"name": "a", "text": "\\ud800"}', b"400"),
    ],
    ids=lambda value: value.decode("latin-1")[:24] if isinstance(value, bytes) else None,
)
async def test_a_refused_body_leaves_the_connection_usable(gateway, path, body, status):
    head = b"POST /v1/%s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    after = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    answers = await raw(gateway, head % (path, len(body)) + body + after)
    assert answers.startswith(b"HTTP/1.1 " + status)
    assert b"application/problem+json" in answers
    assert b"HTTP/1.1 200" in answers


HOSTILE_JSON = {
    "deep": b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}",
    "crowded": b"[" + b"1," * 40_000 + b"1]",
    "nul": b'{"a\\u0000": "b"}',
    "raw nul": b'{"a": "b\x00"}',
    "surrogate": b'{"a": "\\ud800"}',
    "raw surrogate": b'{"a": "\xed\xa0\x80"}',
    "no utf-8": b'{"a": "\xff"}',
    "large": b'{"a": "' + b"x" * 2_000_000 + b'"}',
}


@pytest.mark.parametrize("body", HOSTILE_JSON.values(), ids=HOSTILE_JSON)
@pytest.mark.parametrize("chunked", [False, True], ids=["length", "chunked"])
async def test_every_route_that_takes_json_refuses_hostile_json_and_keeps_the_connection(gateway, body, chunked):
    routes = await json_routes(gateway)
    assert len(routes) > 10
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % len(body)
    sent = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if chunked else body
    after = b"GET /health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    for method, path in routes:
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
        answers = await raw(gateway, head + framing + b"\r\n\r\n" + sent + after)
        assert answers[9:12] in (b"400", b"413", b"422"), (method, path, answers[:300])
        assert answers.count(b"HTTP/1.1 200") == 1, (method, path, answers[:300])


async def json_routes(gateway) -> list[tuple[str, str]]:
    """Method and path of every route that takes JSON, with a name in place of each parameter."""
    paths = (await gateway.http.get("/openapi.json")).json()["paths"]
    names = {"key_id": "a" * 16, "letter_id": "INGEST.1"}
    return [
        (method.upper(), re.sub(r"{(\w+)}", lambda found: names.get(found[1], "unknown-id"), path))
        for path, operations in paths.items()
        for method, operation in operations.items()
        if "application/json" in operation.get("requestBody", {}).get("content", {})
    ]


async def test_stopping_lets_answers_finish_and_ends_endless_streams(broker, nats_server):
    go_on = asyncio.Event()
    workers = FakeWorkers(broker, finishing_after(go_on))
    await workers.start()
    async with running_gateway(nats_server.url) as gateway:
        await gateway.ready()
        await gateway.http.post("/v1/documents", json={"name": "a", "text": TEXT, "document_id": "a"})
        asking = asyncio.create_task(gateway.http.post("/v1/query", json={"query": "Now?"}))
        watching = asyncio.create_task(gateway.http.get("/v1/documents/a/events"))
        await until(lambda: bool(workers.questions))
        gateway.drain.begin()
        watched = await watching
        assert ": stopping" in watched.text
        go_on.set()
        assert (await asking).json()["answer"] == "Finished."
    await workers.stop()


async def test_an_answer_that_outlasts_the_stop_is_handed_over_by_its_id(broker, nats_server):
    workers = FakeWorkers(broker, _stuck)
    await workers.start()
    async with running_gateway(nats_server.url, drain_timeout_s=2) as gateway:
        await gateway.ready()
        asking = asyncio.create_task(gateway.http.post("/v1/query", json={"query": "Ever?"}))
        streaming = asyncio.create_task(gateway.http.post("/v1/query", json={"query": "Ever?", "stream": True}))
        await until(lambda: len(workers.questions) == 2)
        gateway.drain.begin()
        response = await asking
        assert response.status_code == 503
        assert response.json()["query_id"] in {question.query_id for question in workers.questions}
        assert ": stopping" in (await streaming).text
    await workers.stop()


async def _stuck(_, stage: Stage) -> None:
    await stage.retrieved()
