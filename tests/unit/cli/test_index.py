"""`waggle index` where nothing is there to work on."""

from __future__ import annotations

import pytest

from deploy.local.ports import free_port


def test_to_move_an_index_to_where_it_is_is_wrong_usage(waggle) -> None:
    ran = waggle("index", "migrate", "lancedb", "lancedb")
    assert (ran.code, "both lancedb" in ran.err) == (2, True)


@pytest.mark.parametrize("arguments", [["check"], ["rebuild"], ["migrate", "lancedb", "weaviate"]])
def test_a_broker_that_is_away_is_exit_code_three(
    waggle, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    monkeypatch.setattr("cli.broker.CONNECT_S", 0.3)
    monkeypatch.setenv("WAGGLE_NATS_URL", f"nats://127.0.0.1:{free_port()}")
    ran = waggle("index", *arguments)
    assert (ran.code, "WAGGLE_NATS_URL" in ran.err) == (3, True)
