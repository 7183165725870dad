"""Vectors of questions that were encoded before."""

from __future__ import annotations

import numpy as np
import pytest

from messaging.caching.memory import MemoryCache
from messaging.caching.single_flight import SingleFlight
from workers.encoding.base import Vector
from workers.retrieve.question_vectors import Encode, remembered

VECTOR = np.array([0.6, -0.8, 0.0], dtype=np.float32)


class Encoder:
    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def encode(self, tenant: str, question: str) -> Vector:
        self.asked.append((tenant, question))
        return VECTOR


@pytest.fixture
def cache() -> MemoryCache:
    return MemoryCache(max_bytes=10_000, max_entries=100)


@pytest.fixture
def encoder() -> Encoder:
    return Encoder()


def with_memory(encoder: Encoder, cache: MemoryCache, *, model: str = "m", dimension: int = 3) -> Encode:
    settings = {"model": model}
    return remembered(encoder.encode, SingleFlight(cache), encoder=settings, dimension=dimension, ttl_s=60)


async def test_a_question_is_encoded_once(encoder: Encoder, cache: MemoryCache) -> None:
    encode = with_memory(encoder, cache)
    first, again = await encode("acme", "Where?"), await encode("acme", "Where?")
    assert encoder.asked == [("acme", "Where?")]
    assert again.dtype == np.float32
    np.testing.assert_array_equal(first, VECTOR)
    np.testing.assert_array_equal(again, VECTOR)
    (stats,) = await cache.stats()
    assert (stats.hits, stats.sets) == (1, 1)


@pytest.mark.parametrize(("tenant", "question"), [("other", "Where?"), ("acme", "where?"), ("acme", "Where? ")])
async def test_other_questions_and_tenants_are_encoded_for_themselves(
    encoder: Encoder, cache: MemoryCache, tenant: str, question: str
) -> None:
    encode = with_memory(encoder, cache)
    await encode("acme", "Where?")
    await encode(tenant, question)
    assert len(encoder.asked) == 2


async def test_another_encoder_does_not_find_the_vectors_of_the_first(encoder: Encoder, cache: MemoryCache) -> None:
    await with_memory(encoder, cache)("acme", "Where?")
    await with_memory(encoder, cache, model="n")("acme", "Where?")
    assert len(encoder.asked) == 2


async def test_what_is_no_vector_is_encoded_again(encoder: Encoder, cache: MemoryCache) -> None:
    await with_memory(encoder, cache)("acme", "Where?")
    longer = with_memory(encoder, cache, dimension=4)
    with pytest.raises(ValueError, match="no vector of 4"):  # nor is what this encoder gives
        await longer("acme", "Where?")
    assert len(encoder.asked) == 2
