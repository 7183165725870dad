"""How many processes of a service a host has room for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

import psutil

from contracts.settings_source import ConfigurationError

GIB: Final = 1024**3
GIB_EACH: Final = 2
"""A worker with an encoder takes about 0.5 GiB, and each service may have as many."""
FEWEST: Final = 2
MOST: Final = 8


def most_replicas(wanted: int | None, replicas: Mapping[str, int]) -> int:
    """`wanted`, or by default as many as there are cores, and memory for: 2 to 8.

    Raises `ConfigurationError` when `replicas` of a service start that are more than `wanted`.
    """
    if wanted is None:
        return suggested(cores=len(os.sched_getaffinity(0)), memory_bytes=psutil.virtual_memory().total)
    for service, count in replicas.items():
        if count > wanted:
            raise ConfigurationError(
                f"{service}={count} is more than WAGGLE_MAX_REPLICAS={wanted} allows: raise it, or start fewer."
            )
    return wanted


def suggested(*, cores: int, memory_bytes: int) -> int:
    """2 to 8: no more than there are cores, and half as many as there are GiB of memory."""
    return max(FEWEST, min(MOST, cores, memory_bytes // (GIB_EACH * GIB)))
