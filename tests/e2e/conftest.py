"""One real stack for all journeys: every process, the real encoder, two replicas of each worker of a question."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.waggle import Waggle

REPLICAS = ("--replicas", "embed=2", "--replicas", "retrieve=2,generate=2")


@pytest.fixture(scope="session")
def waggle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Waggle]:
    stack = Waggle(data_dir=tmp_path_factory.mktemp("stack"))
    stack.up(*REPLICAS)
    yield stack
    stack("down")
