"""The reranker over `/rerank`, against a real server that speaks like each of those there are."""

from __future__ import annotations

import asyncio
import socket
import threading
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from contracts.endpoint_reports import EndpointState
from contracts.errors import PermanentError, TransientError
from contracts.model_settings import RerankerKind, RerankerSettings
from tests.support.model_servers import Answer, Answered, ModelServer, reranking
from tests.support.waiting import until
from tests.unit.reranking.reranker_contract import RerankerContract
from workers.endpoints.endpoint import FAILURES_TO_LEAVE
from workers.reranking.endpoint import EndpointReranker
from workers.reranking.factory import build_reranker

Start = Callable[..., Awaitable[EndpointReranker]]
TEXTS = ["bb", "a", "cccc", "ddd"]
SHORT_S = 0.05


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with ModelServer.running(reranking(len)) as server:
        yield server


@pytest.fixture
async def start(server: ModelServer) -> AsyncIterator[Start]:
    """Starts a reranker on the server; closed by the fixture."""
    made: list[EndpointReranker] = []

    async def start(**settings: object) -> EndpointReranker:
        given = {"reranker": RerankerKind.ENDPOINT, "reranker_model": "lengths", "reranker_endpoints": server.url}
        reranker = build_reranker(RerankerSettings.model_validate(given | settings))
        assert isinstance(reranker, EndpointReranker)
        made.append(reranker)
        await reranker.start()
        return reranker

    yield start
    for reranker in made:
        await reranker.close()


@pytest.fixture
def nowhere() -> str:
    """An address at which nobody listens."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}"


class TestEndpointReranker(RerankerContract):
    @pytest.fixture
    async def reranker(self, server: ModelServer, start: Start) -> EndpointReranker:
        server.answer = reranking(lambda text: zlib.crc32(text.encode()))
        return await start()


@pytest.mark.parametrize("answer", [reranking(len), reranking(len, form="texts")], ids=["documents", "texts"])
async def test_both_forms_are_spoken(server: ModelServer, start: Start, answer: Answer) -> None:
    server.answer = answer
    reranker = await start()
    before = len(server.asked)
    assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]
    assert len(server.asked) == before + 1, "which form it is was found at the start"


async def test_the_request_is_what_such_servers_want(server: ModelServer, start: Start) -> None:
    reranker = await start(reranker_endpoints=f"{server.url}/v1/", reranker_api_key="honey")
    await reranker.rerank("Which?", TEXTS)
    asked = server.asked[-1]
    assert asked.path == "/v1/rerank"
    assert asked.headers["Authorization"] == "Bearer honey"
    assert asked.body == {"model": "lengths", "query": "Which?", "documents": TEXTS, "top_n": 4}


async def test_the_next_endpoint_is_asked_and_one_that_is_away_is_left_out(
    server: ModelServer, start: Start, nowhere: str
) -> None:
    reranker = await start(reranker_endpoints=f"{nowhere},{server.url}")
    server.next.append(Answered.json({}, status=503))
    with pytest.raises(TransientError):
        await reranker.rerank("q", TEXTS)
    for _ in range(4):
        assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]
    assert [stats.state for stats in reranker.pool.stats()] == [EndpointState.FAILING, EndpointState.HEALTHY]


async def test_one_that_hangs_is_left_out_though_nobody_waits_until_its_time_is_up(
    server: ModelServer, start: Start
) -> None:
    opened = threading.Event()
    with ModelServer.running(reranking(len)) as hanging:
        reranker = await start(reranker_endpoints=f"{hanging.url},{server.url}", reranker_timeout_s=SHORT_S)
        hanging.answer = lambda _: Answered(body=b"{}", after=opened)
        for _ in range(FAILURES_TO_LEAVE):
            await _given_up(reranker, hanging)
        hung = len(hanging.asked)
        for _ in range(4):
            assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]
        assert len(hanging.asked) == hung
        assert "WAGGLE_RERANKER_TIMEOUT_S" in reranker.pool.stats()[0].last_error
        opened.set()


async def test_one_that_was_given_no_time_is_not_blamed(server: ModelServer, start: Start) -> None:
    opened = threading.Event()
    with ModelServer.running(reranking(len)) as hanging:
        reranker = await start(reranker_endpoints=f"{hanging.url},{server.url}", reranker_timeout_s=600)
        hanging.answer = lambda _: Answered(body=b"{}", after=opened)
        for _ in range(FAILURES_TO_LEAVE):
            await _given_up(reranker, hanging, after_s=0.0)
        assert [stats.state for stats in reranker.pool.stats()] == [EndpointState.HEALTHY, EndpointState.HEALTHY]
        opened.set()


async def _given_up(reranker: EndpointReranker, hanging: ModelServer, *, after_s: float = SHORT_S) -> None:
    """Ask until it is the turn of the one that hangs, wait for so long, and leave."""
    before, asked = len(hanging.asked), asyncio.create_task(_asked_again_and_again(reranker))
    await until(lambda: len(hanging.asked) > before)
    await asyncio.wait({asked}, timeout=after_s)
    asked.cancel()
    await asyncio.wait({asked})


async def _asked_again_and_again(reranker: EndpointReranker) -> None:
    while True:
        await reranker.rerank("q", TEXTS)


async def test_the_share_of_an_endpoint_is_a_setting(server: ModelServer, start: Start) -> None:
    with ModelServer.running(reranking(len)) as reserve:
        reranker = await start(reranker_endpoints=f"{server.url}, {reserve.url}/v1;standby")
        await reranker.rerank("q", TEXTS)
        assert reserve.asked == []
        server.next.append(Answered.json({}, status=503))
        assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]
        assert [asked.path for asked in reserve.asked] == ["/v1/rerank"]


@pytest.mark.parametrize(
    ("answered", "setting"),
    [
        (Answered.json({}, status=401), "WAGGLE_RERANKER_API_KEY"),
        (Answered.json({"message": "The model `x` does not exist"}, status=404), "WAGGLE_RERANKER_MODEL"),
        (Answered.json({}, status=404), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.page(), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({}, status=400), "WAGGLE_RERANKER_MODEL"),
        (Answered.json({"results": None}), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({"results": [{"index": 0, "relevance_score": 1.0}]}), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({"results": [{"index": 9, "relevance_score": 1.0}]}), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({"results": [{"index": None, "relevance_score": 1.0}]}), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json([{"index": n, "score": n} for n in (0, 1, 1)]), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({"results": [{"index": -1, "relevance_score": 1.0}]}), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json([{"index": n, "score": float("nan")} for n in range(2)]), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json({}, status=308, Location="/elsewhere"), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json([{"index": 0}]), "WAGGLE_RERANKER_ENDPOINTS"),
        (Answered.json("no"), "WAGGLE_RERANKER_ENDPOINTS"),
    ],
)
async def test_wrong_settings_stop_the_process_and_later_count_as_away(
    server: ModelServer, start: Start, answered: Answered, setting: str
) -> None:
    reranker = await start()
    server.answer = lambda _: answered
    with pytest.raises(PermanentError, match=setting):
        await start()
    if answered.status != 400:
        with pytest.raises(TransientError, match=setting):
            await reranker.rerank("q", TEXTS)


async def test_texts_that_are_refused_are_an_error_of_their_own(server: ModelServer, start: Start) -> None:
    reranker = await start()
    server.answer = lambda _: Answered.json({"error": "too long"}, status=400)
    with pytest.raises(PermanentError, match="too long"):
        await reranker.rerank("q", TEXTS)


@pytest.mark.parametrize("fault", [Answered(body=b'{"results": ['), Answered.page(status=502)])
async def test_what_breaks_off_counts_as_away(server: ModelServer, start: Start, fault: Answered) -> None:
    reranker = await start()
    server.next.append(fault)
    with pytest.raises(TransientError):
        await reranker.rerank("q", TEXTS)


async def test_a_connection_that_is_lost_is_made_anew(server: ModelServer, start: Start) -> None:
    reranker = await start()
    server.next.append(Answered(body=b'{"results": [', sent=5))
    assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]


async def test_a_server_that_is_away_at_the_start_may_come_later(server: ModelServer, start: Start) -> None:
    server.next.append(Answered.json({}, status=503))
    reranker = build_reranker(
        RerankerSettings(reranker=RerankerKind.ENDPOINT, reranker_endpoints=server.url, reranker_model="m")
    )
    assert reranker is not None
    with pytest.raises(TransientError):
        await reranker.start()
    assert (await reranker.rerank("q", TEXTS)).tolist() == [2, 1, 4, 3]
    await reranker.close()


async def test_no_address_names_the_setting(start: Start) -> None:
    with pytest.raises(PermanentError, match="WAGGLE_RERANKER_ENDPOINTS"):
        await start(reranker_endpoints=None)


async def test_half_a_character_is_sent_as_the_sign_for_it(server: ModelServer, start: Start) -> None:
    await (await start()).rerank("q \ud800", ["x \ud800"])
    assert (server.asked[-1].body["query"], server.asked[-1].body["documents"]) == ("q \ufffd", ["x \ufffd"])


def test_off_is_none() -> None:
    assert build_reranker(RerankerSettings()) is None
