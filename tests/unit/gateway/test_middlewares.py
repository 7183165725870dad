"""What is recorded of requests, and which addresses may be listened on."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from contracts.settings_source import ConfigurationError
from gateway.metrics import RequestMetrics
from gateway.server import _address, bind
from gateway.tracing import RequestSpans
from messaging.activity import Activity

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


class Route:
    path = "/v1/documents/{document_id}"


async def receive():
    return {"type": "http.disconnect"}


async def send(_) -> None:
    pass


def scope(**headers: str):
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": "GET", "path": "/v1/documents/some-id", "headers": encoded}


def endpoint(status: int, then: Callable[[], Awaitable[None]] | None = None):
    async def app(scope, receive, send) -> None:
        scope["route"] = Route
        await send({"type": "http.response.start", "status": status, "headers": []})
        if then is not None:
            await then()

    return app


@pytest.mark.parametrize(("status", "error"), [(200, False), (404, False), (503, True)])
async def test_a_request_is_a_span_of_its_callers_trace_named_by_its_route(status, error):
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    inside: list[int] = []

    async def look() -> None:
        inside.append(trace.get_current_span().get_span_context().trace_id)

    spans = RequestSpans(endpoint(status, look), tracer=provider.get_tracer("test"))
    await spans(scope(traceparent=f"00-{TRACE_ID}-b7ad6b7169203331-01"), receive, send)
    provider.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.name == "GET /v1/documents/{document_id}"
    assert inside == [int(TRACE_ID, 16)]
    assert span.status.is_ok is not error
    attributes = dict(span.attributes or {})
    assert "some-id" not in str(attributes)
    assert (attributes["http.request.method"], attributes["url.scheme"]) == ("GET", "http")
    assert attributes.get("error.type") == (str(status) if error else None)


async def test_a_method_that_is_none_makes_no_name_of_its_own():
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    odd = {**scope(), "method": "BREW"}
    await RequestSpans(endpoint(405), tracer=provider.get_tracer("test"))(odd, receive, send)
    provider.shutdown()
    (span,) = exporter.get_finished_spans()
    assert span.name == "_OTHER /v1/documents/{document_id}"


async def test_a_request_is_in_hand_until_its_response_begins_however_long_it_streams():
    activity, seen = Activity(), list[int]()

    async def streaming() -> None:
        seen.append(activity.in_flight)

    meter = NoOpMeterProvider().get_meter("test")
    await RequestMetrics(endpoint(200, streaming), meter=meter, activity=activity)(scope(), receive, send)
    assert seen == [0]
    assert (activity.in_flight, activity.progress) == (0, 1)


async def test_a_request_that_fails_without_a_response_is_out_of_hand_too():
    activity = Activity()

    async def broken(*_) -> None:
        assert activity.in_flight == 1
        raise RuntimeError("broken")

    metrics = RequestMetrics(broken, meter=NoOpMeterProvider().get_meter("test"), activity=activity)
    with pytest.raises(RuntimeError):
        await metrics(scope(), receive, send)
    assert activity.in_flight == 0


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.9.9.9"])
def test_loopback_addresses_are_listened_on(host):
    with bind(host, 0) as listener:
        assert listener.getsockname()[1] > 0


async def test_an_answer_is_not_held_back_until_the_client_has_acknowledged_its_head():
    """Nagle's algorithm and delayed acknowledgements together add 40 ms to every request of a kept connection."""
    accepted: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def on_client(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        accepted.set_result(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bind("127.0.0.1", 0) as listener:
        async with await asyncio.start_server(on_client, sock=listener):
            _, writer = await asyncio.open_connection(*listener.getsockname())
            assert await asyncio.wait_for(accepted, 60)
            writer.close()


@pytest.mark.parametrize("host", ["::1", "[::1]"])
def test_the_loopback_address_of_ipv6_is_one_too(host):
    assert _address(host, keyed=False) == (socket.AF_INET6, "::1")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "169.254.169.254"])
def test_any_other_address_is_refused_with_the_reason_where_nobody_shows_a_key(host):
    with pytest.raises(ConfigurationError, match="nobody shows a key"):
        bind(host, 0)


@pytest.mark.parametrize("host", ["gateway.internal", "", "0x7f000001"])
def test_what_is_no_address_is_refused(host):
    for keyed in (False, True):
        with pytest.raises(ConfigurationError, match="no address"):
            bind(host, 0, keyed=keyed)


def test_any_address_is_listened_on_where_keys_are_shown():
    with bind("0.0.0.0", 0, keyed=True) as listener:
        assert listener.getsockname()[1] > 0
