"""Ports of this machine."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from deploy.local import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_port_that_somebody_listens_on_is_not_free(taken: int) -> None:
    assert not ports.is_free("127.0.0.1", taken)
    assert ports.answers("127.0.0.1", taken)


def test_the_owner_of_a_port_is_named(taken: int) -> None:
    assert str(os.getpid()) in ports.owner(taken)


def test_a_free_port_is_free() -> None:
    port = ports.free_port()

    assert ports.is_free("127.0.0.1", port)
    assert not ports.answers("127.0.0.1", port)
