"""Caches: what was computed is kept to be used again. Build one with `build_cache`."""

from __future__ import annotations

from messaging.caching.base import MAX_TTL_S, MAX_VALUE_BYTES, Cache
from messaging.caching.decorator import Codec, cached
from messaging.caching.factory import build_cache
from messaging.caching.keys import CacheKey, CacheKind
from messaging.caching.metrics import measure
from messaging.caching.single_flight import SingleFlight
from messaging.caching.statistics import LevelStats

__all__ = [
    "MAX_TTL_S",
    "MAX_VALUE_BYTES",
    "Cache",
    "CacheKey",
    "CacheKind",
    "Codec",
    "LevelStats",
    "SingleFlight",
    "build_cache",
    "cached",
    "measure",
]
