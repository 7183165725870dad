"""Vectors of questions that were encoded before."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np

from messaging.caching.decorator import Codec, cached
from messaging.caching.keys import CacheKey, CacheKind
from messaging.caching.single_flight import SingleFlight
from workers.encoding.base import Vector

Encode = Callable[[str, str], Coroutine[Any, Any, Vector]]
"""The vector of a tenant's question: (d,) float32, L2-normalised."""


def remembered(
    encode: Encode, flight: SingleFlight, *, encoder: dict[str, Any], dimension: int, ttl_s: float
) -> Encode:
    """`encode` with a memory; `encoder` names all settings that a vector depends on."""

    def key(tenant: str, question: str, /) -> CacheKey:
        return CacheKey.of(CacheKind.QUESTION_VECTOR, tenant, encoder=encoder, question=question)

    def decode(value: bytes) -> Vector:
        vector = np.frombuffer(value, dtype="<f4").astype(np.float32)
        if vector.shape != (dimension,):
            raise ValueError(f"{vector.size} numbers are no vector of {dimension}")
        return vector

    codec = Codec[Vector](encode=lambda vector: vector.astype("<f4").tobytes(), decode=decode)
    return cached(flight, key=key, codec=codec, ttl_s=ttl_s)(encode)
