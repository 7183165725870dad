"""What the doctor finds of the engines that are chosen, on real servers."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from contracts.cache_settings import CacheBackend
from contracts.generator_settings import GeneratorKind
from contracts.model_settings import EncoderKind, RerankerKind
from contracts.settings import AllSettings, IndexKind
from deploy.checkup import engines
from deploy.checkup.finding import Finding, Level
from tests.support.chat_servers import MODEL, chat_servers
from tests.support.model_servers import ModelServer, embeddings
from tests.support.redis_server import RedisServer, require_redis
from workers.encoding.simulated import SimulatedEmbedder


async def found(tmp_path: Path, **changes: Any) -> list[Finding]:
    settings = AllSettings.load(data_dir=tmp_path, **changes)
    return [finding async for finding in engines.chosen(settings)]


def nobody() -> str:
    """An address where nobody answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"http://127.0.0.1:{server.getsockname()[1]}"


async def test_of_the_embedded_engines_there_is_nothing_to_say(tmp_path: Path) -> None:
    assert await found(tmp_path) == []


async def test_a_model_behind_endpoints_is_asked(tmp_path: Path) -> None:
    async with chat_servers() as (server,):
        (finding,) = await found(
            tmp_path, generator=GeneratorKind.OPENAI, generator_model=MODEL, generator_endpoints=server.url
        )
    assert (finding.level, finding.check) == (Level.OK, "generator")
    assert MODEL in finding.detail


async def test_an_encoder_that_is_served_encodes(tmp_path: Path) -> None:
    with ModelServer.running(embeddings(SimulatedEmbedder(dimension=32).encode_questions)) as server:
        (finding,) = await found(
            tmp_path, encoder=EncoderKind.OPENAI, encoder_model="simulated", encoder_endpoints=f"{server.url}/v1"
        )
    assert finding.level is Level.OK, finding
    assert "32 dimensions" in finding.detail


@pytest.mark.parametrize(("password", "level"), [(None, Level.OK), ("wrong", Level.FAIL)])
async def test_redis_is_asked_with_its_password(tmp_path: Path, password: str | None, level: Level) -> None:
    with RedisServer(tmp_path / "redis", require_redis()) as server:
        secret = SecretStr(password or server.password)
        (finding,) = await found(tmp_path, cache=CacheBackend.REDIS, redis_url=server.url, redis_password=secret)
    assert finding.level is level, finding
    assert ("WAGGLE_REDIS_PASSWORD" in finding.detail) is (level is Level.FAIL)
    assert server.password not in finding.detail


async def test_what_is_not_there_is_named_with_its_setting(tmp_path: Path) -> None:
    findings = await found(
        tmp_path,
        encoder=EncoderKind.OPENAI,
        encoder_endpoints=f"{nobody()}/v1",
        encoder_timeout_s=2,
        index=IndexKind.WEAVIATE,
        weaviate_url=nobody(),
        reranker=RerankerKind.ENDPOINT,
        reranker_endpoints=f"{nobody()}/v1",
        generator=GeneratorKind.OPENAI,
        generator_model=MODEL,
        generator_endpoints=f"{nobody()}/v1",
        cache=CacheBackend.REDIS,
        redis_url=nobody().replace("http", "redis"),
    )
    settings = {
        "encoder": "ENCODER_ENDPOINTS",
        "index": "WEAVIATE_URL",
        "reranker": "RERANKER_ENDPOINTS",
        "generator": "GENERATOR_ENDPOINTS",
        "cache": "REDIS_URL",
    }
    assert [finding.check for finding in findings] == list(settings)
    for finding in findings:
        assert finding.level is Level.FAIL, finding
        assert f"WAGGLE_{settings[finding.check]}" in finding.advice, finding


async def test_vllm_is_looked_for_and_not_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.checkup.engines.find_spec", lambda _: None)
    (missing,) = await found(tmp_path, generator=GeneratorKind.VLLM, generator_model="a/model")
    assert missing.level is Level.FAIL
    assert "vllm]" in missing.advice
    monkeypatch.setattr("deploy.checkup.engines.find_spec", lambda _: object())
    (there,) = await found(tmp_path, generator=GeneratorKind.VLLM, generator_model="a/model")
    assert (there.level, "a/model" in there.detail) == (Level.OK, True)
    (nowhere,) = await found(tmp_path, generator=GeneratorKind.VLLM, generator_model=str(tmp_path / "none"))
    assert (nowhere.level, "WAGGLE_GENERATOR_MODEL" in nowhere.detail) == (Level.FAIL, True)
    (without_model,) = await found(tmp_path, generator=GeneratorKind.VLLM)
    assert (without_model.level, "WAGGLE_GENERATOR_MODEL" in without_model.detail) == (Level.FAIL, True)
