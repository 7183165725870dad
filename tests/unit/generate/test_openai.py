"""The model behind endpoints, over real servers that answer as a test tells them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from pydantic import SecretStr

from contracts.answers import Usage
from contracts.endpoint_reports import EndpointState
from contracts.errors import PermanentError, TransientError
from contracts.generator_settings import ChatEndpointSettings
from contracts.settings_source import ConfigurationError, variable
from tests.support.chat_servers import (
    MODEL,
    USAGE,
    Exchange,
    chat_servers,
    chunk,
    fails,
    hangs,
    hangs_after,
    resets_after,
    says,
    sends,
)
from tests.support.waiting import until
from tests.unit.generate.openai_models import ASKED, SAMPLING, model_over, replied
from workers.generate.chat.model import FinishReason, ReplyEnd, ReplyText, Sampling
from workers.generate.chat.openai import DEFAULT_CONTEXT_TOKENS, build_openai_model
from workers.generate.chat.openai_tokens import estimate


class TestReply:
    async def test_texts_come_one_by_one_and_then_the_end(self) -> None:
        async with chat_servers() as servers, model_over(servers) as model:
            items = [item async for item in model.reply(ASKED, SAMPLING)]
            assert items == [
                ReplyText(text="Bees "),
                ReplyText(text="dance."),
                ReplyEnd(finish_reason=FinishReason.STOP, usage=Usage(prompt_tokens=11, completion_tokens=7)),
            ]

    async def test_what_is_left_open_is_not_sent(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            await replied(model)
            assert server.chats[-1].body == {
                "model": MODEL,
                "messages": [
                    {"role": "system", "content": "Answer briefly."},
                    {"role": "user", "content": "What do bees do?"},
                ],
                "max_tokens": 50,
                "stream": True,
                "stream_options": {"include_usage": True},
            }

    async def test_what_is_set_is_sent(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            await replied(model, Sampling(max_tokens=3, temperature=0.0, stop=("\n", "END"), seed=0))
            body = server.chats[-1].body
            assert [body[name] for name in ("max_tokens", "temperature", "stop", "seed")] == [3, 0.0, ["\n", "END"], 0]

    async def test_a_server_that_takes_no_stop_sequences_is_stopped_all_the_same(self) -> None:
        refused = fails(400, {"error": {"message": "'stop' is not supported with this model.", "param": "stop"}})

        async def behave(exchange: Exchange) -> None:
            takes = "stop" not in exchange.request.body
            await (hangs_after("Bees dance. E", "ND They") if takes else refused)(exchange)

        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = behave
            text, end = await replied(model, Sampling(max_tokens=50, stop=("END",)))
            assert (text, end.finish_reason) == ("Bees dance. ", FinishReason.STOP)
            assert end.usage.completion_tokens > 0
            await until(server.exchanges[-1].left.is_set)

    async def test_a_model_that_thinks_is_asked_as_it_wants_to_be(self) -> None:
        async def thinks(exchange: Exchange) -> None:
            for name in ("max_tokens", "temperature", "seed"):
                if name in exchange.request.body:
                    error = {"message": f"Unsupported parameter: '{name}'", "param": name}
                    await fails(400, {"error": error})(exchange)
                    return
            await says("Bees dance.")(exchange)

        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = thinks
            for _ in range(2):
                text, end = await replied(model, Sampling(max_tokens=50, temperature=0.2, seed=1))
                assert (text, end.usage.prompt_tokens) == ("Bees dance.", 11)
            assert len(server.chats) == 5
            assert server.chats[-1].body == {
                "model": MODEL,
                "messages": [{"role": message.role.value, "content": message.content} for message in ASKED],
                "max_completion_tokens": 50,
                "stream": True,
                "stream_options": {"include_usage": True},
            }

    @pytest.mark.parametrize(
        ("said", "reason"),
        [
            ("stop", FinishReason.STOP),
            ("length", FinishReason.LENGTH),
            ("content_filter", FinishReason.FILTERED),
            ("tool_calls", FinishReason.STOP),
            ("end_turn", FinishReason.STOP),
        ],
    )
    async def test_why_it_ended(self, said: str, reason: FinishReason) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = says("Bees", finish=said)
            assert (await replied(model))[1].finish_reason is reason

    async def test_without_usage_tokens_are_counted(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = says("Bees dance.", usage=None)
            _, end = await replied(model)
            asked = sum(estimate(message.content) for message in ASKED)
            assert end.usage == Usage(prompt_tokens=asked, completion_tokens=estimate("Bees dance."))

    async def test_usage_that_is_told_with_every_chunk_is_the_last_one(self) -> None:
        growing = [
            {**chunk(text), "usage": {"prompt_tokens": 11, "completion_tokens": n}} for n, text in enumerate("ab")
        ]
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = sends([*growing, chunk(finish="stop"), chunk(usage=USAGE), "[DONE]"])
            assert (await replied(model))[1].usage.completion_tokens == 7

    async def test_thoughts_are_not_shown_but_are_a_beginning(self) -> None:
        thought = {"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}, "finish_reason": None}]}

        async def thinks(exchange: Exchange) -> None:
            await exchange.open_stream()
            for _ in range(3):
                await exchange.event(thought)
                await asyncio.sleep(0.4)
            await exchange.event(chunk("Bees.", finish="stop"))
            await exchange.end_stream()

        async with chat_servers() as (server,), model_over([server], generator_first_token_timeout_s=1.0) as model:
            server.always = thinks
            assert (await replied(model))[0] == "Bees."

    async def test_signs_that_python_takes_for_line_ends_arrive(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = says("蜜蜂\u2028跳\u0085舞")
            assert (await replied(model))[0] == "蜜蜂\u2028跳\u0085舞"

    async def test_closing_it_stops_the_server(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = hangs_after("Bees ")
            async with aclosing(model.reply(ASKED, SAMPLING)) as reply:
                assert await anext(reply) == ReplyText(text="Bees ")
                assert server.in_flight == 1
            await until(server.exchanges[-1].left.is_set)


class TestFailing:
    async def test_before_the_first_token_another_endpoint_answers(self) -> None:
        async with chat_servers(2) as servers, model_over(servers) as model:
            servers[0].always = resets_after()
            for _ in range(3):
                assert (await replied(model))[0] == "Bees dance."

    @pytest.mark.parametrize(
        "fault", [resets_after("Bees "), sends([chunk("Bees "), chunk(finish="abort")])], ids=["reset", "abort"]
    )
    async def test_after_it_the_answer_is_broken_off(self, fault: Callable) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            server.always = fault
            with pytest.raises(TransientError, match="the answer was broken off"):
                await replied(model)

    @pytest.mark.parametrize(
        ("fault", "setting"),
        [(hangs, "generator_first_token_timeout_s"), (hangs_after("a"), "generator_gap_timeout_s")],
        ids=["first token", "gap"],
    )
    async def test_a_time_that_ran_out_names_its_setting(self, fault: Callable, setting: str) -> None:
        short: dict[str, Any] = {setting: 0.2}
        async with chat_servers() as (server,), model_over([server], **short) as model:
            server.always = fault
            with pytest.raises(TransientError, match=variable(setting)):
                await replied(model)

    async def test_a_look_passes_when_any_endpoint_answers(self) -> None:
        async with chat_servers(2) as servers, model_over(servers) as model:
            await servers[0].stop()
            await model.look()
            await servers[1].stop()
            with pytest.raises(TransientError, match="no endpoint answered"):
                await model.look()

    async def test_figures_of_each_endpoint(self) -> None:
        async with chat_servers(2) as servers, model_over(servers) as model:
            servers[0].always = fails(500)
            await replied(model)
            first, second = model.stats()
            assert (first.requests, first.failures, first.last_error) == (1, 1, "answered 500: no")
            assert (second.requests, second.failures, second.state) == (1, 0, EndpointState.HEALTHY)
            assert second.latency_s


async def test_what_endpoints_do_is_measured() -> None:
    reader = InMemoryMetricReader()
    meter = MeterProvider([reader]).get_meter("waggle")
    async with chat_servers() as servers, model_over(servers, meter=meter) as model:
        await replied(model)
        data = reader.get_metrics_data()
        assert data is not None
        names = {metric.name for r in data.resource_metrics for scope in r.scope_metrics for metric in scope.metrics}
        assert names == {
            "gen_ai.client.operation.duration",
            "gen_ai.client.operation.time_to_first_chunk",
            "gen_ai.client.token.usage",
            "waggle.endpoint.in_flight",
            "waggle.endpoint.state",
        }


async def test_a_defect_of_the_probes_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails_to_run(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("workers.endpoints.probing.Prober.run", fails_to_run)
    async with chat_servers() as (server,):
        model = build_openai_model(ChatEndpointSettings(generator_endpoints=server.url, generator_model=MODEL))
        await model.start()
        with pytest.raises(ExceptionGroup) as raised:
            await model.run()
        assert raised.group_contains(ZeroDivisionError)
        with pytest.raises(ExceptionGroup):
            await model.close()


class TestStart:
    async def test_the_least_context_of_the_endpoints_counts(self) -> None:
        async with chat_servers(2) as servers:
            servers[1].models = [{"id": MODEL, "owned_by": "llamacpp", "meta": {"n_ctx": 1024, "n_ctx_train": 8192}}]
            async with model_over(servers) as model:
                assert model.context_tokens == 1024

    async def test_llama_cpp_tells_its_context_in_its_properties(self) -> None:
        async with chat_servers() as (server,):
            server.models = [{"id": MODEL, "meta": {"n_ctx_train": 8192}}]
            server.at["/props"] = fails(200, {"default_generation_settings": {"n_ctx": 512}})
            async with model_over([server]) as model:
                assert model.context_tokens == 512

    async def test_a_context_that_is_set_counts_and_an_unknown_one_is_assumed(self) -> None:
        async with chat_servers() as (server,):
            server.models = [{"id": MODEL}]
            async with model_over([server]) as model:
                assert model.context_tokens == DEFAULT_CONTEXT_TOKENS
            async with model_over([server], generator_context_tokens=333) as model:
                assert model.context_tokens == 333

    @pytest.mark.parametrize("listed", [MODEL, f"models/{MODEL}", f"{MODEL}:latest"])
    async def test_a_model_that_is_listed_is_not_tried_out(self, listed: str) -> None:
        async with chat_servers() as (server,):
            server.models = [{"id": "other"}, {"id": listed}]
            async with model_over([server]):
                assert server.chats == []

    @pytest.mark.parametrize("listing", [fails(404), fails(200, {"data": [{"id": "other"}]}), fails(200, {})])
    async def test_one_that_is_not_listed_but_answers_will_do(self, listing: Callable) -> None:
        async with chat_servers() as (server,):
            server.at["/v1/models"] = listing
            async with model_over([server]) as model:
                assert [request.body["max_tokens"] for request in server.chats] == [1]
                assert (await replied(model))[0] == "Bees dance."

    async def test_one_that_nobody_serves_is_a_permanent_error_that_lists_what_is_served(self) -> None:
        async with chat_servers(2) as servers:
            for server, listed in zip(servers, ("big", "huge"), strict=True):
                server.models = [{"id": listed}]
                server.always = fails(404, {"error": {"message": "The model `small` does not exist.", "code": 404}})
            with pytest.raises(PermanentError, match=r"WAGGLE_GENERATOR_MODEL .*served are: big, huge$"):
                async with model_over(servers):
                    pass

    async def test_a_wrong_key_is_a_permanent_error(self) -> None:
        async with chat_servers() as (server,):
            server.always = server.at["/v1/models"] = fails(401)
            with pytest.raises(PermanentError, match="WAGGLE_GENERATOR_API_KEY"):
                async with model_over([server], generator_api_key=SecretStr("sk-honey")):
                    pass

    async def test_one_endpoint_without_the_model_is_warned_of(self, capsys: pytest.CaptureFixture[str]) -> None:
        async with chat_servers(2) as servers:
            servers[1].models = [{"id": "other"}]
            async with model_over(servers):
                said = capsys.readouterr().out
            assert f"endpoint={servers[1].url}" in said
            assert "served=('other',)" in said

    async def test_endpoints_that_are_away_are_waited_for_and_then_known(self) -> None:
        async with chat_servers() as (server,):
            await server.stop()
            async with model_over([server]) as model:
                assert model.context_tokens == DEFAULT_CONTEXT_TOKENS
                await server.start()
                await until(lambda: model.context_tokens == 2048)
                assert (await replied(model))[0] == "Bees dance."

    async def test_one_that_comes_back_with_less_context_is_known_anew(self) -> None:
        async with chat_servers() as (server,), model_over([server]) as model:
            assert model.context_tokens == 2048
            await server.stop()
            for _ in range(3):
                with pytest.raises(TransientError):
                    await replied(model)
            server.models = [{"id": MODEL, "max_model_len": 1024}]
            await server.start()
            await until(lambda: model.context_tokens == 1024)

    @pytest.mark.parametrize(
        ("left_out", "setting"),
        [("generator_endpoints", "WAGGLE_GENERATOR_ENDPOINTS"), ("generator_model", "WAGGLE_GENERATOR_MODEL")],
    )
    def test_a_setting_that_is_missing_is_named_with_an_example(self, left_out: str, setting: str) -> None:
        given: dict[str, Any] = {"generator_endpoints": "http://a/v1", "generator_model": MODEL, left_out: None}
        with pytest.raises(ConfigurationError, match=f"{setting} is not set.* Example: {setting}="):
            build_openai_model(ChatEndpointSettings(**given))

    def test_a_tokenizer_that_is_none_is_a_permanent_error(self, tmp_path: Path) -> None:
        settings = ChatEndpointSettings(
            generator_endpoints="http://a/v1", generator_model=MODEL, generator_tokenizer=tmp_path
        )
        with pytest.raises(PermanentError, match="set WAGGLE_GENERATOR_TOKENIZER"):
            build_openai_model(settings)


async def test_the_key_appears_in_no_log(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    caplog.set_level(logging.DEBUG)
    async with chat_servers() as (server,):
        server.then(fails(500, {"error": {"message": "Bearer sk-honey is odd"}}))
        async with model_over([server], generator_api_key=SecretStr("sk-honey")) as model:
            with pytest.raises(TransientError):
                await replied(model)
            await replied(model)
            assert server.chats[-1].headers["authorization"] == "Bearer sk-honey"
    said = capsys.readouterr()
    assert "sk-honey" not in caplog.text + said.out + said.err
