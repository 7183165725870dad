"""The engines that the settings choose instead of the embedded ones: are they there, and do they take us?"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from importlib.util import find_spec

from contracts.cache_settings import CacheBackend
from contracts.errors import PermanentError, TransientError, WaggleError
from contracts.generator_settings import GeneratorKind
from contracts.model_settings import EncoderKind, RerankerKind
from contracts.settings import AllSettings, IndexKind
from deploy.checkup.finding import Finding, fail, ok
from deploy.checkup.model_folder import described

LOOK_TIMEOUT_S = 20.0

Look = Callable[[AllSettings], Awaitable[str]]
"""Uses an engine as little as possible, and says what it is. Raises what using it raises."""


async def chosen(settings: AllSettings) -> AsyncIterator[Finding]:
    """One finding for each engine that is not embedded, in the order in which a document and a question meet them."""
    looks: list[tuple[bool, str, str, str, Look]] = [
        (settings.encoder is EncoderKind.OPENAI, "encoder", "served-models", "WAGGLE_ENCODER_ENDPOINTS", _encoder),
        (settings.index is IndexKind.WEAVIATE, "index", "weaviate", "WAGGLE_WEAVIATE_URL", _weaviate),
        (
            settings.reranker is RerankerKind.ENDPOINT,
            "reranker",
            "served-models",
            "WAGGLE_RERANKER_ENDPOINTS",
            _reranker,
        ),
        (settings.generator is GeneratorKind.OPENAI, "generator", "openai", "WAGGLE_GENERATOR_ENDPOINTS", _endpoints),
        (settings.generator is GeneratorKind.VLLM, "generator", "local,vllm", "WAGGLE_GENERATOR_MODEL", _vllm),
        (settings.cache is CacheBackend.REDIS, "cache", "redis", "WAGGLE_REDIS_URL", _redis),
    ]
    for is_chosen, check, extra, where, look in looks:
        if is_chosen:
            yield await _found(check, extra, where, look(settings))


async def _found(check: str, extra: str, where: str, looking: Awaitable[str]) -> Finding:
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            return ok(check, await looking)
    except TimeoutError:
        return fail(check, f"no answer within {LOOK_TIMEOUT_S:g} s", f"Is it overloaded, or is {where} wrong?")
    except ImportError as error:
        return fail(
            check,
            f"{error.name or error} is not installed",
            f"Install it, in the folder of Waggle: uv pip install -e '.[{extra}]'",
        )
    except TransientError as error:
        return fail(check, str(error), f"Is it running, and is {where} right?")
    except WaggleError as error:
        return fail(check, str(error), "What it names has to be put right before the workers can use it.")


async def _encoder(settings: AllSettings) -> str:
    from workers.encoding.factory import build_embedder

    def encode() -> int:
        embedder = build_embedder(settings)
        try:
            return int(embedder.encode_questions(["Does it work?"]).shape[1])
        finally:
            embedder.close()

    return f"{settings.encoder_model} at {settings.encoder_endpoints}, {await asyncio.to_thread(encode)} dimensions"


async def _weaviate(settings: AllSettings) -> str:
    from workers.indexing.weaviate_connection import Connection

    connection = Connection(settings)
    await connection.open()
    try:
        return f"Weaviate at {settings.weaviate_url}, collection {settings.weaviate_collection}"
    finally:
        await connection.close()


async def _reranker(settings: AllSettings) -> str:
    from workers.reranking.factory import build_reranker
    from workers.reranking.reranking import look

    reranker = build_reranker(settings)
    assert reranker is not None  # one is chosen, else nobody would look
    try:
        await reranker.start()
        await look(reranker)
    finally:
        await reranker.close()
    return f"{settings.reranker_model or 'the model'} at {settings.reranker_endpoints}"


async def _endpoints(settings: AllSettings) -> str:
    from workers.generate.chat.openai import build_openai_model

    model = build_openai_model(settings)
    await model.start()
    try:
        await model.look()
        return f"{model.name}, {model.context_tokens} tokens, at {settings.generator_endpoints}"
    finally:
        await model.close()


async def _vllm(settings: AllSettings) -> str:
    if find_spec("vllm") is None:
        raise ImportError("vllm is not installed", name="vllm")
    if not settings.generator_model:
        raise PermanentError("WAGGLE_GENERATOR=vllm needs WAGGLE_GENERATOR_MODEL, the name or folder of a model")
    return f"vLLM with {described(settings.generator_model)}"


async def _redis(settings: AllSettings) -> str:
    from messaging.caching.keys import CacheKey, CacheKind
    from messaging.caching.redis import RedisStore

    store = RedisStore(settings)
    try:
        await store.open()
        await store.read(CacheKey.of(CacheKind.ANSWER, "doctor", looked_for="nothing"))
    finally:
        await store.close()
    return f"Redis at {settings.redis_url}"
