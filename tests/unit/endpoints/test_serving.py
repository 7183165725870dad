"""A model at one route of several endpoints: who is asked next, after what pause, and what is said in the end."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from pydantic import JsonValue

from contracts.endpoint_reports import EndpointState
from contracts.endpoints import EndpointAddress
from contracts.errors import ErrorCode, PermanentError, TransientError
from tests.support.clocks import Clock
from tests.support.model_servers import Answered, Asked, ModelServer
from tests.support.waiting import until
from tests.unit.endpoints.pools import NEVER
from workers.endpoints.endpoint import FAILURES_TO_LEAVE
from workers.endpoints.errors import (
    EndpointsAwayError,
    EndpointsUnfitError,
    RequestRefusedError,
    while_running,
    while_starting,
)
from workers.endpoints.faults import Fault, FaultKind, GivenUp, StrangeReplyError
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.serving import MOST_REST_S, PAUSES_S, SLACK_S, ServedModel, pool_of

BUSY = Answered.json({}, status=429)
FAILED = Answered.json({}, status=500)
PURPOSE = Purpose(
    variables="WAGGLE_ENCODER", operation="embeddings", route="/embeddings", model="m", code=ErrorCode.ENCODING_FAILED
)
GIVEN_UP = Fault(kind=FaultKind.FAILURE, label="given_up", reason="was given up")


def named(name: str):
    def answer(_: Asked) -> Answered:
        return Answered.json({"name": name})

    return answer


@pytest.fixture
def one() -> Iterator[ModelServer]:
    with ModelServer.running(named("one")) as server:
        yield server


@pytest.fixture
def two() -> Iterator[ModelServer]:
    with ModelServer.running(named("two")) as server:
        yield server


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


class Asking:
    """A model whose pauses are noted and pass at once."""

    def __init__(self, *urls: str, timeout_s: float) -> None:
        self.pauses: list[float] = []
        self._clock = Clock()
        self._limit = TimeLimit(seconds=timeout_s, setting=PURPOSE.setting("TIMEOUT_S"))
        addresses = [EndpointAddress(url=url) for url in urls]
        pool = pool_of(PURPOSE, addresses, api_key=None, connect_s=timeout_s, pauses=NEVER, monotonic=self._clock)
        self.model = ServedModel(pool, sleep=self._sleep, jitter=lambda: 1.0)

    async def ask(self, *, repeats_500: bool = True, given_up: GivenUp | None = None) -> str:
        return await self.model.ask({}, read=_name, limit=self._limit, repeats_500=repeats_500, given_up=given_up)

    @property
    def states(self) -> list[EndpointState]:
        return [stats.state for stats in self.model.pool.stats()]

    async def _sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self._clock.now += seconds


def _name(reply: JsonValue) -> str:
    if not isinstance(reply, dict) or "name" not in reply:
        raise StrangeReplyError("answers with something else than a name")
    return str(reply["name"])


@asynccontextmanager
async def asking(*urls: str, timeout_s: float = 30.0) -> AsyncIterator[Asking]:
    asking = Asking(*urls, timeout_s=timeout_s)
    await asking.model.pool.start()
    try:
        yield asking
    finally:
        await asking.model.pool.close()


@pytest.mark.parametrize(
    "fault",
    [
        BUSY,
        FAILED,
        Answered.json({}, status=503),
        Answered.page(status=502),
        Answered.page(),
        Answered(body=b'{"name": '),
        Answered(body=b"[" * 100_000),
        Answered.json({}, status=401),
        Answered.json({}, status=302, Location="http://elsewhere.example"),
        Answered.json({"other": "shape"}),
    ],
)
async def test_whatever_one_endpoint_does_wrong_another_may_do_right(
    one: ModelServer, two: ModelServer, fault: Answered
) -> None:
    one.answer = lambda _: fault
    async with asking(one.url, two.url) as model:
        assert await model.ask() == "two"
        assert model.pauses == []
    assert len(one.asked) == 1


async def test_a_failure_that_passes_costs_a_pause(one: ModelServer) -> None:
    one.next.extend([FAILED, FAILED])
    async with asking(one.url) as model:
        assert await model.ask() == "one"
        assert tuple(model.pauses) == PAUSES_S


async def test_attempts_end(one: ModelServer) -> None:
    one.answer = lambda _: FAILED
    async with asking(one.url) as model:
        with pytest.raises(EndpointsAwayError, match="500"):
            await model.ask()
    assert len(one.asked) == len(PAUSES_S) + 1


async def test_500_is_not_repeated_for_those_who_look_what_it_is_about(one: ModelServer) -> None:
    one.next.append(FAILED)
    async with asking(one.url) as model:
        with pytest.raises(EndpointsAwayError) as raised:
            await model.ask(repeats_500=False)
        assert raised.value.may_be_the_request
        one.next.append(Answered.json({}, status=502))
        assert await model.ask(repeats_500=False) == "one"


@pytest.mark.parametrize(("given", "waited"), [("3", 3.0 + SLACK_S), ("0", 0.2), ("soon", 1.0 + SLACK_S)])
async def test_the_time_that_a_server_asks_for_is_waited(one: ModelServer, given: str, waited: float) -> None:
    one.next.append(Answered.json({}, status=429, **{"Retry-After": given}))
    async with asking(one.url) as model:
        assert await model.ask() == "one"
        assert model.pauses == [pytest.approx(waited)]


async def test_a_longer_time_is_handed_on(one: ModelServer) -> None:
    one.answer = lambda _: Answered.json({}, status=429, **{"Retry-After": str(MOST_REST_S + 1)})
    async with asking(one.url) as model:
        with pytest.raises(TransientError) as raised:
            await model.ask()
        assert raised.value.retry_after_s == MOST_REST_S + 1
        assert model.pauses == []
    assert len(one.asked) == 1


async def test_one_that_hangs_is_not_asked_again(one: ModelServer, two: ModelServer) -> None:
    opened = threading.Event()
    one.answer = lambda _: Answered(body=b"{}", after=opened)
    two.answer = lambda _: FAILED
    async with asking(one.url, two.url, timeout_s=1.0) as model:
        with pytest.raises(EndpointsAwayError, match=r"within 1 s \(WAGGLE_ENCODER_TIMEOUT_S\)"):
            await model.ask()
        assert model.pauses == []
    opened.set()


async def test_an_answer_that_drips_has_no_more_time_than_any_other(one: ModelServer) -> None:
    one.answer = lambda _: Answered(body=b'{"name": "one"}' + b" " * 1000, drips=0.02)
    async with asking(one.url, timeout_s=1.0) as model:
        with pytest.raises(EndpointsAwayError, match=r"did not reply within 1 s"):
            await model.ask()


async def test_an_answer_without_end_is_cut_off(one: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.endpoints.wire.MAX_REPLY_BYTES", 1000)
    one.answer = lambda _: Answered(body=b'{"name": "' + b"n" * 2000 + b'"}')
    async with asking(one.url) as model:
        with pytest.raises(EndpointsAwayError, match="more than any reply holds: check WAGGLE_ENCODER_ENDPOINTS"):
            await model.ask()


async def test_a_request_that_is_refused_is_not_repeated(one: ModelServer) -> None:
    one.answer = lambda _: Answered.json({"error": "too long"}, status=413)
    async with asking(one.url) as model:
        with pytest.raises(RequestRefusedError, match="too long"):
            await model.ask()
    assert len(one.asked) == 1


async def test_wrong_settings_are_told_at_the_start_even_if_another_endpoint_is_away(
    nowhere: str, one: ModelServer
) -> None:
    one.answer = lambda _: Answered.json({}, status=403)
    async with asking(one.url, nowhere) as model:
        with pytest.raises(EndpointsUnfitError, match="WAGGLE_ENCODER_API_KEY"), while_starting():
            await model.ask()
        assert model.pauses == []


async def test_settings_that_no_longer_fit_are_waited_for_by_a_process_that_runs(one: ModelServer) -> None:
    one.answer = lambda _: Answered.json({}, status=401)
    async with asking(one.url) as model:
        with pytest.raises(EndpointsUnfitError, match="WAGGLE_ENCODER_API_KEY"):
            await model.ask()
        with pytest.raises(EndpointsAwayError, match="WAGGLE_ENCODER_API_KEY"), while_running():
            await model.ask()


async def test_a_server_that_is_away_is_waited_for_by_a_process_that_starts(nowhere: str) -> None:
    async with asking(nowhere) as model:
        with pytest.raises(EndpointsAwayError, match=nowhere), while_starting():
            await model.ask()


async def test_whoever_asks_while_all_are_left_out_looks_first(one: ModelServer, nowhere: str) -> None:
    async with asking(one.url, nowhere) as model:
        for endpoint in model.model.pool.endpoints:
            endpoint.take_out()
        assert await model.ask() == "one"
        assert model.states == [EndpointState.HEALTHY, EndpointState.FAILING]
        one.answer = lambda _: FAILED
        for endpoint in model.model.pool.endpoints:
            endpoint.take_out()
        with pytest.raises(EndpointsAwayError, match="500"):
            await model.ask()
        assert len(one.asked) == 1, "the look said that it is of no use"


async def test_a_caller_who_gives_up_may_mean_something(one: ModelServer) -> None:
    opened = threading.Event()
    one.answer = lambda _: Answered(body=b"{}", after=opened)
    async with asking(one.url) as model:
        for _ in range(FAILURES_TO_LEAVE):
            await _given_up(model, one, None)
        assert model.states == [EndpointState.HEALTHY]
        for _ in range(FAILURES_TO_LEAVE):
            await _given_up(model, one, GivenUp(fault=GIVEN_UP, after_s=600))
        assert model.states == [EndpointState.HEALTHY], "it had no time"
        for _ in range(FAILURES_TO_LEAVE):
            await _given_up(model, one, GivenUp(fault=GIVEN_UP))
        assert model.states == [EndpointState.FAILING]
    opened.set()


async def _given_up(model: Asking, server: ModelServer, means: GivenUp | None) -> None:
    """Ask, and leave when the server has the question."""
    before, asked = len(server.asked), asyncio.create_task(model.ask(given_up=means))
    await until(lambda: len(server.asked) > before)
    asked.cancel()
    await asyncio.wait({asked})


def test_no_address_names_the_setting() -> None:
    with pytest.raises(PermanentError, match="WAGGLE_ENCODER_ENDPOINTS=http"):
        pool_of(PURPOSE, [], api_key=None, connect_s=1)
