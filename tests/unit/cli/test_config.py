"""`waggle config set|rollback|diff|history`, with a gateway of a few lines."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from cli.client import GatewayClient
from tests.support.commands import Ran

REVISIONS: list[dict[str, Any]] = [
    {"number": 3, "values": {"top_k": 7}, "principal": "ann", "because": "worse", "restores": 1},
    {"number": 2, "values": {"colour": "blue"}, "principal": "anonymous", "claimed_by": "bob@hive", "because": "new"},
    {"number": 1, "values": {"top_k": 7}, "principal": "ann", "because": "more"},
]


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """What the gateway was sent."""
    sent: list[tuple[str, Any]] = []

    def handle(request: httpx.Request) -> httpx.Response:
        if request.method == "GET":
            listed = request.url.path.endswith("/revisions")
            return httpx.Response(200, json={"items": REVISIONS} if listed else REVISIONS[0])
        sent.append((request.url.path, json.loads(request.content)))
        return httpx.Response(200, json={**REVISIONS[0], "is_new": False})

    def gateway() -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(handle))

    monkeypatch.setattr("cli.live_configuration.gateway", gateway)
    return sent


def test_values_are_json_and_what_is_none_is_text(waggle: Callable[..., Ran], sent: list[tuple[str, Any]]) -> None:
    ran = waggle("config", "set", "top_k=7", "reranking=false", "fusion=rrf", "--because", "x", "--if-revision", "3")
    [(path, body)] = sent
    assert (path, body["values"]) == ("/v1/config", {"top_k": 7, "reranking": False, "fusion": "rrf"})
    assert (body["because"], body["expected_revision"]) == ("x", 3)
    assert "@" in body["claimed_by"]
    assert (ran.code, ran.out.startswith("All is so already; revision 3, as revision 1, ")) == (0, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("set", "top_k", "--because", "x"), "'top_k' is not KEY=VALUE"),
        (("set", "top_k=", "--because", "x"), "'top_k=' is not KEY=VALUE"),
        (("set", "top_k=1", "top_k=2", "--because", "x"), "top_k is given twice"),
        (("set", "top_k=null", "--because", "x"), "waggle config unset top_k"),
        (("set", "top_k=1"), "--because"),
        (("diff", "1", "9"), "there is no revision 9"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_sent(
    waggle: Callable[..., Ran], sent: list[tuple[str, Any]], arguments: tuple[str, ...], said: str
) -> None:
    ran = waggle("config", *arguments)
    assert (ran.code, ran.out, sent) == (2, "", [])
    assert said in ran.err


def test_going_back_is_meant_for_the_revision_that_was_current(
    waggle: Callable[..., Ran], sent: list[tuple[str, Any]]
) -> None:
    assert waggle("config", "rollback", "--because", "worse").code == 0
    [(path, body)] = sent
    assert (path, body["to"], body["expected_revision"]) == ("/v1/config/rollback", None, 3)


def test_differences_are_told_for_keys_of_newer_releases_too(
    waggle: Callable[..., Ran], sent: list[tuple[str, Any]]
) -> None:
    assert waggle("config", "diff").out == "colour: blue → unset\ntop_k: unset → 7\n"
    assert waggle("config", "diff", "1", "3").out == "They are the same.\n"
    changes = json.loads(waggle("config", "diff", "0", "2", "--json").out)["changes"]
    assert changes == [{"key": "colour", "before": None, "after": "blue"}]


def test_the_history_tells_who_changed_what_and_why(waggle: Callable[..., Ran], sent: list[tuple[str, Any]]) -> None:
    ran = waggle("config", "history", "--limit", "2")
    assert ran.code == 0
    assert "anonymous (says bob@hive)" in ran.out
    assert "top_k: 7 → unset" in ran.out  # though the revision before is not shown
    assert "more" not in ran.out
    assert [each["number"] for each in json.loads(waggle("config", "history", "--json").out)["items"]] == [3, 2, 1]
