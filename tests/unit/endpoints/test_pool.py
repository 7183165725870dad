"""A pool over real servers: who is asked, who is left out, and who comes back."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import pytest
from pydantic import JsonValue

from contracts.endpoint_reports import EndpointState
from contracts.endpoints import Balance, EndpointAddress
from contracts.errors import PermanentError, TransientError
from tests.support.chat_servers import (
    ChatServer,
    chat_servers,
    fails,
    hangs,
    page,
    resets,
    says,
    waits_for,
)
from tests.support.waiting import until
from tests.unit.endpoints.pools import BRISK, KEY, PURPOSE, limit, pool_over, states, told
from workers.endpoints.faults import StrangeReplyError
from workers.endpoints.pool import EndpointPool

HEALTHY, FAILING, RESTING, DRAINING = (
    EndpointState.HEALTHY,
    EndpointState.FAILING,
    EndpointState.RESTING,
    EndpointState.DRAINING,
)


@contextmanager
def full_port() -> Iterator[int]:
    """A port whose listener takes no more connections: the kernel leaves attempts unanswered."""
    with ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            waiting = sockets.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


def shares(servers: Sequence[ChatServer]) -> list[int]:
    return [len(server.chats) for server in servers]


def whole(reply: JsonValue) -> JsonValue:
    return reply


async def ask(pool: EndpointPool, times: int) -> None:
    for _ in range(times):
        assert await told(pool) == "Bees dance."


async def fail_often(pool: EndpointPool) -> None:
    """Until the only endpoint is out."""
    for _ in range(3):
        with pytest.raises(TransientError):
            await told(pool)
    assert states(pool) == [FAILING]


class TestBalance:
    async def test_requests_take_turns(self) -> None:
        async with chat_servers(3) as servers, pool_over(servers) as pool:
            await ask(pool, 9)
            assert shares(servers) == [3, 3, 3]

    async def test_weights_are_shares(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers, balance=Balance.WEIGHTED, weights=[3, 1]) as pool:
            await ask(pool, 12)
            assert shares(servers) == [9, 3]

    async def test_the_least_busy_gets_the_next(self) -> None:
        release = asyncio.Event()
        async with chat_servers(2) as servers, pool_over(servers, balance=Balance.LEAST_CONNECTIONS) as pool:
            servers[0].always = waits_for(release, "Bees dance.")
            slow = asyncio.create_task(told(pool))
            await until(lambda: servers[0].in_flight == 1)
            await ask(pool, 5)
            assert shares(servers) == [1, 5]
            release.set()
            assert await slow == "Bees dance."

    async def test_a_standby_gets_nothing_while_another_can_be_used(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers, standbys=1, pauses=BRISK) as pool:
            await ask(pool, 5)
            assert shares(servers) == [5, 0]
            await servers[0].stop()
            await ask(pool, 5)
            assert len(servers[1].chats) == 5
            await servers[0].start()
            await until(lambda: states(pool) == [HEALTHY, HEALTHY])
            await ask(pool, 2)
            assert shares(servers) == [7, 5]


class TestFaults:
    @pytest.mark.parametrize(
        "fault",
        [fails(500), fails(502), fails(404, {"detail": "Not Found"}), page(), page(404), resets],
        ids=["500", "502", "no such path", "page", "404 page", "reset"],
    )
    async def test_another_endpoint_answers_instead(self, fault: Callable) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = fault
            await ask(pool, 8)
            assert states(pool) == [FAILING, HEALTHY]
            assert shares(servers)[1] == 8
            assert pool.stats()[0].failures == 3  # then it was left out

    async def test_nobody_there(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            for server in servers:
                await server.stop()
            with pytest.raises(TransientError) as error:
                await told(pool)
            for server in servers:
                assert f"{server.url} cannot be reached" in str(error.value)
            assert "WAGGLE_GENERATOR_ENDPOINTS" in str(error.value)

    async def test_a_connection_that_was_lost_is_made_anew_once(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.then(resets)
            await ask(pool, 1)
            server.then(resets, resets)
            with pytest.raises(TransientError, match="closed the connection"):
                await told(pool)
            assert shares([server]) == [4]

    async def test_a_connection_that_does_not_come_about_names_its_setting(self) -> None:
        with full_port() as port:
            address = EndpointAddress(url=f"http://127.0.0.1:{port}/v1")
            connect = limit(0.2, "CONNECT_TIMEOUT_S")
            pool = EndpointPool([address], PURPOSE, balance=Balance.ROUND_ROBIN, connect=connect)
            with pytest.raises(
                TransientError, match=r"connected to within 0\.2 s \(WAGGLE_GENERATOR_CONNECT_TIMEOUT_S\)"
            ):
                await told(pool)
            await pool.close()

    async def test_a_page_is_a_wrong_address(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = page()
            with pytest.raises(TransientError, match=r"answered with text/html .* check WAGGLE_GENERATOR_ENDPOINTS"):
                await told(pool)

    async def test_500_then_fine(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            for _ in range(4):  # never three in a row
                server.then(fails(500), fails(500))
                for _ in range(2):
                    with pytest.raises(TransientError, match="answered 500"):
                        await told(pool)
                await ask(pool, 1)
            assert states(pool) == [HEALTHY]

    async def test_a_request_that_is_refused_is_not_sent_elsewhere(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = fails(400, {"error": {"message": "exceeds the available context size"}})
            with pytest.raises(PermanentError, match="WAGGLE_GENERATOR_CONTEXT_TOKENS"):
                await told(pool)
            assert shares(servers) == [1, 0]
            assert states(pool) == [HEALTHY, HEALTHY]


class TestSettings:
    async def test_the_key_is_sent_and_a_wrong_one_is_a_permanent_error(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            for server in servers:
                server.always = fails(401, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
            with pytest.raises(PermanentError, match="WAGGLE_GENERATOR_API_KEY") as error:
                await told(pool)
            assert servers[0].chats[0].headers["authorization"] == f"Bearer {KEY}"
            assert KEY not in repr(error.getrepr(chain=True))

    async def test_a_key_that_one_endpoint_refuses_leaves_the_others_and_takes_nobody_out(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = fails(403)
            await ask(pool, 6)
            assert states(pool) == [HEALTHY, HEALTHY]

    async def test_a_key_that_a_server_repeats_in_another_error_is_left_out(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = fails(500, {"error": {"message": f"backend refused Bearer {KEY}"}})
            with pytest.raises(TransientError, match="backend refused Bearer …") as error:
                await told(pool)
            assert KEY not in str(error.getrepr(chain=True))

    async def test_a_model_that_nobody_serves_is_a_permanent_error(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            for server in servers:
                server.always = fails(404, {"error": {"message": "The model `small` does not exist.", "code": 404}})
            with pytest.raises(PermanentError, match="set WAGGLE_GENERATOR_MODEL"):
                await told(pool)

    async def test_redirects_are_not_followed(self) -> None:
        async with chat_servers(2) as (first, second), pool_over([first]) as pool:
            first.always = fails(307, Location=f"{second.url}/chat/completions")
            with pytest.raises(TransientError, match=f"it points to {second.url}"):
                await told(pool)
            assert second.requests == []


class TestRests:
    async def test_one_that_is_busy_rests_and_others_are_used(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].then(fails(429, Retry_After="30"))
            await ask(pool, 5)
            assert shares(servers) == [1, 5]
            assert states(pool) == [RESTING, HEALTHY]

    async def test_when_all_rest_it_is_told_when_to_come_back(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].then(fails(429, Retry_After="30"))
            servers[1].then(fails(503, Retry_After="20"))
            for _ in range(2):
                with pytest.raises(TransientError, match="429") as error:
                    await told(pool)
                assert error.value.retry_after_s == pytest.approx(20, abs=2)
            assert shares(servers) == [1, 1]

    async def test_it_is_used_again_after_its_rest(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.then(fails(429, Retry_After="0.05"))
            with pytest.raises(TransientError):
                await told(pool)
            await until(lambda: states(pool) == [HEALTHY])
            await ask(pool, 1)


class TestReturn:
    async def test_it_is_back_after_two_answered_probes(self) -> None:
        async with chat_servers() as (server,), pool_over([server], pauses=BRISK) as pool:
            server.always = server.at["/v1/models"] = fails(500)
            await fail_often(pool)
            await until(lambda: len(server.probes) >= 3)
            assert states(pool) == [FAILING]
            server.always, server.at["/v1/models"] = says("Bees dance."), server._list_models
            before = len(server.probes)
            await until(lambda: states(pool) == [HEALTHY])
            assert len(server.probes) >= before + 2
            await ask(pool, 1)

    async def test_a_server_that_starts_again_is_used_again(self) -> None:
        async with chat_servers() as (server,), pool_over([server], pauses=BRISK) as pool:
            await server.stop()
            await fail_often(pool)
            await server.start()
            await until(lambda: states(pool) == [HEALTHY])
            await ask(pool, 1)

    async def test_while_it_is_out_nothing_is_sent_to_it(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = fails(500)
            await fail_often(pool)
            with pytest.raises(TransientError, match="answered 500"):
                await told(pool)
            assert shares([server]) == [3]


class TestDrain:
    async def test_what_is_under_way_finishes_and_nothing_new_comes(self) -> None:
        release = asyncio.Event()
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].always = waits_for(release, "Bees dance.")
            under_way = asyncio.create_task(told(pool))
            await until(lambda: servers[0].in_flight == 1)
            pool.drain(servers[0].url)
            await ask(pool, 4)
            assert (shares(servers), states(pool), pool.stats()[0].in_flight) == ([1, 4], [DRAINING, HEALTHY], 1)
            release.set()
            assert await under_way == "Bees dance."
            assert pool.stats()[0].in_flight == 0
            pool.undrain(servers[0].url)
            await ask(pool, 4)
            assert shares(servers) == [3, 6]

    async def test_with_all_drained_requests_wait(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            pool.drain(server.url)
            with pytest.raises(TransientError, match="is being drained"):
                await told(pool)

    async def test_an_unknown_address_is_said_so(self) -> None:
        async with chat_servers() as servers, pool_over(servers) as pool:
            with pytest.raises(KeyError, match="none of the endpoints of WAGGLE_GENERATOR_ENDPOINTS"):
                pool.drain("http://other/v1")


class TestLook:
    async def test_one_that_answers_suffices(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].at["/v1/models"] = hangs
            await pool.look()

    async def test_it_fails_when_nobody_answers(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            for server in servers:
                await server.stop()
            with pytest.raises(TransientError, match="cannot be reached"):
                await pool.look()

    async def test_after_a_look_that_passed_a_request_is_let_through(self) -> None:
        async with chat_servers() as (server,), pool_over([server]) as pool:
            server.always = fails(500)
            await fail_often(pool)
            server.always = says("Bees dance.")
            await pool.look()
            await ask(pool, 1)


class TestJson:
    async def test_a_reply_is_whole(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].at["/v1/embeddings"] = fails(500)
            servers[1].at["/v1/embeddings"] = _json({"data": [1]})
            replied = await pool.post_json("/embeddings", {"input": ["a"]}, read=whole, limit=limit(5, "TIMEOUT_S"))
            assert (replied.reply, replied.endpoint.url) == ({"data": [1]}, servers[1].url)
            assert servers[1].requests[-1].body == {"input": ["a"]}

    async def test_one_whose_replies_cannot_be_used_is_left_for_another(self) -> None:
        def read(reply: JsonValue) -> JsonValue:
            if reply != {"data": [1]}:
                raise StrangeReplyError("gives vectors of 3 dimensions", "DIMENSION", "MODEL")
            return reply

        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].at["/v1/embeddings"] = _json({"data": [1, 2, 3]})
            servers[1].at["/v1/embeddings"] = _json({"data": [1]})
            for _ in range(6):
                replied = await pool.post_json("/embeddings", {}, read=read, limit=limit(5, "TIMEOUT_S"))
                assert replied.endpoint.url == servers[1].url
            assert states(pool) == [FAILING, HEALTHY]
            assert pool.stats()[0].last_error == (
                "gives vectors of 3 dimensions: check WAGGLE_GENERATOR_DIMENSION and WAGGLE_GENERATOR_MODEL"
            )

    async def test_one_that_takes_too_long_is_left_for_another(self) -> None:
        async with chat_servers(2) as servers, pool_over(servers) as pool:
            servers[0].at["/v1/embeddings"] = hangs
            servers[1].at["/v1/embeddings"] = _json({})
            await pool.post_json("/embeddings", {}, read=whole, limit=limit(1.0, "TIMEOUT_S"))
            assert pool.stats()[0].last_error == "did not reply within 1 s (WAGGLE_GENERATOR_TIMEOUT_S)"
            await until(servers[0].exchanges[0].left.is_set)


async def test_requests_at_once_keep_to_their_counts() -> None:
    async with chat_servers(2) as servers, pool_over(servers, balance=Balance.LEAST_CONNECTIONS) as pool:
        texts = await asyncio.gather(*(told(pool) for _ in range(40)))
        assert Counter(texts) == {"Bees dance.": 40}
        assert shares(servers) == [20, 20]
        assert [stats.in_flight for stats in pool.stats()] == [0, 0]


async def test_connections_are_kept() -> None:
    async with chat_servers() as (server,), pool_over([server]) as pool:
        await ask(pool, 5)
        assert len({id(exchange._writer) for exchange in server.exchanges}) == 1


def _json(body: object) -> Callable[..., Awaitable[None]]:
    return fails(200, body)
