"""`waggle keys`: what it asks the gateway, and what people are shown."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from cli.client import GatewayClient
from tests.support.commands import Ran
from tests.unit.cli.gateways import problem

Waggle = Callable[..., Ran]

ID = "k3v5q2w7y4z6abcd"
SECRET = f"wk_{ID}_{'s' * 43}"
NOW = datetime.now(UTC)
KEY: dict[str, Any] = {
    "id": ID,
    "name": "import",
    "tenant": "acme",
    "scopes": ["ingest", "read"],
    "state": "active",
    "created_at": (NOW - timedelta(hours=3)).isoformat(),
    "created_by": "key:aaaaaaaaaaaaaaaa",
    "expires_at": None,
    "revoked_at": None,
    "revoked_by": None,
    "replaces": None,
    "last_used_at": None,
}


class KeyGateway:
    def __init__(self) -> None:
        self.items = [KEY]
        self.requests: list[httpx.Request] = []

    def client(self) -> GatewayClient:
        return GatewayClient("http://gateway", transport=httpx.MockTransport(self.handle))

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.method == "GET":
            return httpx.Response(200, json={"items": self.items})
        if request.method == "POST":
            return httpx.Response(201, json={"key": KEY, "secret": SECRET})
        if ID not in request.url.path:
            return problem(404, "not_found", "There is no key.")
        return httpx.Response(200, json={**KEY, "state": "revoked"})

    @property
    def body(self) -> dict[str, Any]:
        return dict(json.loads(self.requests[-1].content))


@pytest.fixture
def gateway(monkeypatch: pytest.MonkeyPatch, waggle: Waggle) -> KeyGateway:
    monkeypatch.setenv("COLUMNS", "240")
    made = KeyGateway()
    monkeypatch.setattr("cli.keys.gateway", made.client)
    return made


def test_a_new_key_is_the_only_line_that_can_be_piped(gateway: KeyGateway, waggle: Waggle) -> None:
    ran = waggle("keys", "create", "import", "--scope", "ingest", "--scope", "read", "--tenant", "acme", "--for", "90d")

    assert ran.out == f"{SECRET}\n"
    assert "This is shown once" in ran.err
    assert SECRET not in ran.err
    assert (gateway.body["name"], gateway.body["scopes"], gateway.body["tenant"]) == (
        "import",
        ["ingest", "read"],
        "acme",
    )
    ends = datetime.fromisoformat(gateway.body["expires_at"])
    assert abs(ends - datetime.now(UTC) - timedelta(days=90)) < timedelta(minutes=1)


def test_without_an_end_it_has_none(gateway: KeyGateway, waggle: Waggle) -> None:
    ran = waggle("keys", "create", "import", "--scope", "query", "--json")

    assert (ran.json["secret"], gateway.body["expires_at"], gateway.body["tenant"]) == (SECRET, None, "default")


@pytest.mark.parametrize(
    "arguments",
    [
        ("x",),
        ("x", "--scope", "root"),
        ("x", "--scope", "read", "--tenant", "a.b"),
        ("x", "--scope", "read", "--for", "1d", "--until", "2027-01-31T18:00"),
        ("x", "--scope", "read", "--for", "long"),
    ],
)
def test_what_makes_no_sense_is_not_asked_for(gateway: KeyGateway, waggle: Waggle, arguments: tuple[str, ...]) -> None:
    assert waggle("keys", "create", *arguments).code == 2
    assert gateway.requests == []


def test_a_scope_that_there_is_not_is_told_with_those_that_are(gateway: KeyGateway, waggle: Waggle) -> None:
    assert (
        "Invalid value for '--scope': 'bogus' is not one of 'ingest'"
        in waggle("keys", "create", "x", "--scope", "bogus").err
    )


def test_those_in_force_are_listed_and_all_on_demand(gateway: KeyGateway, waggle: Waggle) -> None:
    lately = datetime.now(UTC) - timedelta(minutes=5, seconds=20)
    gateway.items = [{**KEY, "last_used_at": lately.isoformat()}, {**KEY, "name": "other"}]
    _, used, unused = waggle("keys", "ls").out.splitlines()
    assert gateway.requests[-1].url.params.get_list("state") == ["active"]
    assert {ID, "import", "acme", "ingest", "read", "active", "5"} <= set(used.split())
    assert unused.split()[-1] == "never"

    waggle("keys", "ls", "--all", "--tenant", "acme")
    assert gateway.requests[-1].url.params.get_list("state") == []
    assert gateway.requests[-1].url.params["tenant"] == "acme"

    gateway.items = []
    assert waggle("keys", "ls").out == "No keys. `waggle keys create` makes one.\n"


@pytest.mark.parametrize(("overlap", "seconds"), [((), 86_400), (("--overlap", "1h"), 3600), (("--overlap", "0s"), 0)])
def test_a_rotated_key_says_when_the_old_one_ends(
    gateway: KeyGateway, waggle: Waggle, overlap: tuple[str, ...], seconds: int
) -> None:
    ran = waggle("keys", "rotate", ID, *overlap)

    assert (ran.out, gateway.body) == (f"{SECRET}\n", {"overlap_s": seconds})
    assert f"{ID} ends {'now' if not seconds else 'in '}" in ran.err


def test_each_key_that_is_revoked_is_told_and_one_that_there_is_not_ends_with_1(
    gateway: KeyGateway, waggle: Waggle
) -> None:
    assert (waggle("keys", "revoke", ID).code, gateway.requests[-1].method) == (0, "DELETE")

    ran = waggle("keys", "revoke", ID, "b" * 16, "../documents/x")

    assert ran.code == 1
    marks = [line.split()[0] for line in ran.out.splitlines()]
    assert marks == ["✓", "✗", "✗"]
    assert waggle("keys", "revoke", "c" * 16, ID).out.splitlines()[-1].split()[0] == "✓"
    assert all("/v1/keys/" in request.url.path for request in gateway.requests)
