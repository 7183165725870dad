"""Endpoints that are out are looked at, with pauses that grow."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from contracts.endpoints import EndpointAddress
from tests.support.chat_servers import CHAT, ChatServer, chat_servers, fails, hangs, page, resets
from tests.support.waiting import until
from tests.unit.endpoints.making import failure
from tests.unit.endpoints.pools import PURPOSE, limit
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.probing import ProbePauses, Prober
from workers.endpoints.wire import Wire


@asynccontextmanager
async def prober(slept: list[float] | None = None, *, timeout_s: float = 5.0) -> AsyncIterator[Prober]:
    """A prober whose pauses take no time and are written down."""

    async def sleep(seconds: float) -> None:
        if slept is not None:
            slept.append(seconds)
        await asyncio.sleep(0)

    wire = Wire(PURPOSE, connect=limit(5, "CONNECT_TIMEOUT_S"))
    try:
        yield Prober(wire, PURPOSE, pauses=ProbePauses(timeout_s=timeout_s), sleep=sleep, jitter=lambda: 1.0)
    finally:
        await wire.close()


@asynccontextmanager
async def probed(prober: Prober, endpoint: Endpoint) -> AsyncIterator[None]:
    task = asyncio.create_task(prober.run(endpoint))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


def endpoint_of(server: ChatServer) -> Endpoint:
    return Endpoint(EndpointAddress(url=server.url))


@pytest.mark.parametrize(
    "behaviour", [fails(401), fails(403), fails(429, retry_after="60")], ids=["no key", "forbidden", "busy"]
)
async def test_whoever_refuses_is_there(behaviour: Callable) -> None:
    async with chat_servers() as (server,), prober() as looks:
        server.at["/v1/models"] = behaviour
        assert await looks.probe(endpoint_of(server)) is None


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (fails(500), "answered 500"),
        (page(), "something that is not JSON"),
        (resets, "closed the connection"),
        (hangs, "did not reply within 1 s"),
    ],
    ids=["500", "page", "reset", "hang"],
)
async def test_whoever_does_not_answer_as_a_model_server_is_not(behaviour: Callable, reason: str) -> None:
    async with chat_servers() as (server,), prober(timeout_s=1.0) as looks:
        server.at["/v1/models"] = behaviour
        endpoint = endpoint_of(server)
        fault = await looks.probe(endpoint)
        assert fault is not None
        assert reason in fault.reason
        assert endpoint.probe_error == fault.reason


async def test_without_a_list_of_models_the_route_itself_is_asked_for_nothing() -> None:
    async with chat_servers() as (server,), prober() as looks:
        server.at["/v1/models"] = fails(404, {"detail": "Not Found"})
        assert await looks.probe(endpoint_of(server)) is None
        assert [(request.path, request.body) for request in server.requests] == [("/v1/models", None), (CHAT, {})]


async def test_a_wrong_address_does_not_pass_for_an_endpoint_without_a_list() -> None:
    async with chat_servers() as (server,), prober() as looks:
        server.at["/v1/models"] = server.at[CHAT] = page(404)
        fault = await looks.probe(endpoint_of(server))
        assert fault is not None
        assert "WAGGLE_GENERATOR_ENDPOINTS" in fault.reason


async def test_pauses_double_up_to_half_a_minute_and_two_answers_bring_it_back() -> None:
    slept: list[float] = []
    async with chat_servers() as (server,), prober(slept) as looks:
        server.at["/v1/models"] = fails(500)
        endpoint = endpoint_of(server)
        endpoint.take_out()
        async with probed(looks, endpoint):
            await until(lambda: len(server.probes) >= 9)
            server.at["/v1/models"] = server._list_models
            await until(lambda: endpoint.usable)
        assert slept[:8] == [0.5, 1, 2, 4, 8, 16, 30, 30]
        assert slept[-2:] == [30, 0.5]


async def test_pauses_go_on_where_they_were_until_a_request_has_been_answered() -> None:
    slept: list[float] = []
    async with chat_servers() as (server,), prober(slept) as looks:
        endpoint = endpoint_of(server)
        server.at["/v1/models"] = fails(500)
        endpoint.take_out()
        async with probed(looks, endpoint):
            await until(lambda: len(slept) >= 4)
            server.at["/v1/models"] = server._list_models
            await until(lambda: endpoint.usable)
            before = len(slept)
            endpoint.faulted(failure())
            await until(lambda: endpoint.usable)
            assert slept[before] >= 4
            endpoint.succeeded()
            before = len(slept)
            endpoint.take_out()
            await until(lambda: endpoint.usable)
            assert slept[before] == 0.5
