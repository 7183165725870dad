"""How many processes of a service a host has room for."""

from __future__ import annotations

import pytest

from contracts.settings_source import ConfigurationError
from deploy.local.capacity import GIB, most_replicas, suggested


@pytest.mark.parametrize(
    ("cores", "memory_gib", "most"), [(1, 2, 2), (4, 64, 4), (64, 10, 5), (64, 512, 8), (2, 24, 2)]
)
def test_the_scarcer_of_cores_and_memory_decides_between_two_and_eight(cores: int, memory_gib: int, most: int) -> None:
    assert suggested(cores=cores, memory_bytes=memory_gib * GIB) == most


def test_what_is_wanted_is_taken() -> None:
    assert most_replicas(5, {"embed": 5}) == 5


def test_more_replicas_than_are_wanted_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="embed=6 is more than WAGGLE_MAX_REPLICAS=5"):
        most_replicas(5, {"embed": 6})


def test_without_a_wish_any_number_may_be_started() -> None:
    assert most_replicas(None, {"embed": 40}) >= 2
