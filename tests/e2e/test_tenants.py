"""Two tenants of one stack: one asks for the other's exact words, every way there is, and is told nothing of them.

`WAGGLE_TEST_QUESTIONS=10000` asks so many questions instead of 300; 140 are every sentence in every way, and fewer are too few.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from deploy.local.access import admin_of
from messaging.broker import Broker
from messaging.storage import Storage
from messaging.stored import Stored
from tests.e2e.tenants import WAYS, Tenant, let_in, searched
from tests.e2e.waggle import LIGHT, Waggle

pytestmark = pytest.mark.timeout(3000)

QUESTIONS = int(os.environ.get("WAGGLE_TEST_QUESTIONS", "300"))
SECRETS = 20
PLACES = ("Ebberston", "Threlkeld", "Quarrington", "Osmotherley", "Wharram")
FLEET = (
    "/v1/dlq",
    "/v1/diagnoses",
    "/v1/incidents",
    "/v1/alerts",
    "/v1/recoveries",
    "/v1/fleet",
    "/v1/fleet/metrics",
    "/metrics",
)
"""What the scope `ops` shows of the whole fleet, whoever has it."""
AUDIT = "/v1/audit"
FOR_RIVAL = f"{subjects.ANSWERS}.rival.>"
KEPT = {
    f"{subjects.EVENTS}.>": topology.EVENTS,
    f"{subjects.DEAD_LETTERS}.>": topology.DLQ,
    "rag.>": topology.OPS,
    f"{subjects.ANSWERS}.acme.>": topology.ANSWERS,
    FOR_RIVAL: topology.ANSWERS,
}
"""What is looked at in the broker's streams; the rival's words are to be in the answers to the rival, and nowhere else."""


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    """With a cache that all workers share, an observer that tells of the fleet, and programs of acme at its broker."""
    stack = Waggle(data_dir=tmp_path / "data", settings={**LIGHT, "WAGGLE_CACHE": "nats", "WAGGLE_OBSERVER_PORT": "0"})
    stack("nats", "config", "--tenant", "acme")
    stack.up("--replicas", "observer=1")
    yield stack
    stack("down")


@pytest.fixture
def rival(waggle: Waggle) -> Iterator[Tenant]:
    """Has documents with secrets, and has asked for all of them: the answers are in the cache."""
    with let_in(waggle, "rival") as tenant:
        tenant.learn(
            {
                f"vault-{number}": f"The vault of {PLACES[number % len(PLACES)]} number {number} opens with {secrets.token_hex(8)}."
                for number in range(SECRETS)
            }
        )
        for sentence in tenant.sentences.values():
            for generate in (True, False):
                found = tenant.http.post("/v1/query", json={"query": sentence, "generate": generate}).json()
                assert any(sentence in passage["text"] for passage in found["passages"])
        yield tenant


@pytest.fixture
def acme(waggle: Waggle) -> Iterator[Tenant]:
    """Has one document, about the same and under an id that the rival uses, too."""
    with let_in(waggle, "acme") as tenant:
        tenant.learn({"vault-1": "The vault of Threlkeld number 1 is a honey store that opens with a wooden latch."})
        yield tenant


@pytest.fixture
def torn(rival: Tenant) -> None:
    """The rival has handed in all its secrets in a file that cannot be read, of which errors and a dead letter tell."""
    pages = "\n".join(rival.sentences.values()).encode()
    given = {"file": ("torn.pdf", b"%PDF-1.7\n" + pages)}
    (taken,) = rival.http.post("/v1/documents", files=given).json()["items"]
    assert rival.state(taken["document_id"]) == "failed"


def test_nobody_is_told_what_is_another_tenants(waggle: Waggle, rival: Tenant, acme: Tenant, torn: None) -> None:
    ways, sentences = itertools.cycle(WAYS), itertools.cycle(rival.sentences.values())
    found_its_own = set()
    for way, sentence in itertools.islice(zip(ways, sentences, strict=False), QUESTIONS):
        told = way(acme, sentence)
        assert not [secret for secret in rival.secrets if secret in told], (way.__name__, sentence, told)
        if "honey store" in told:
            found_its_own.add(way)
    assert [way.__name__ for way in WAYS if way not in found_its_own] == []  # each has asked in earnest

    for sentence in rival.sentences.values():
        assert sentence in searched(rival, sentence)
    assert acme.http.get("/v1/dlq").json()["items"] == []
    kept = asyncio.run(kept_by_the_broker(waggle))
    assert all(kept.values())
    elsewhere = {**logs(waggle), **shown_of_the_fleet(waggle, acme), **kept}
    found = {(place, secret) for place, text in elsewhere.items() for secret in rival.secrets if secret in text}
    assert found == {(FOR_RIVAL, secret) for secret in rival.secrets}


def test_what_is_another_tenants_is_not_there(waggle: Waggle, rival: Tenant, acme: Tenant) -> None:
    asked = rival.http.post("/v1/query", json={"query": "Which vault opens?"})
    query_id = asked.headers["Waggle-Query-Id"]
    paths = [
        "/v1/documents/vault-2",
        "/v1/documents/vault-2/text",
        "/v1/documents/vault-2/content",
        "/v1/documents/vault-2/events",
        f"/v1/queries/{query_id}/events",
    ]
    assert [acme.http.get(path).status_code for path in paths] == [404] * len(paths)
    assert [rival.http.get(path).status_code for path in paths] == [200] * len(paths)
    for path in ("/v1/documents/vault-2", f"/v1/queries/{query_id}"):
        assert acme.http.delete(path).status_code == 404

    assert [each["document_id"] for each in acme.http.get("/v1/documents").json()["items"]] == ["vault-1"]
    (own,) = acme.sentences.values()
    assert acme.http.get("/v1/documents/vault-1/text").text == own
    assert acme.http.delete("/v1/documents/vault-1").status_code == 202
    assert rival.http.get("/v1/documents/vault-1").json()["state"] == "ready"
    assert {each["tenant"]: each["usage"]["documents"] for each in waggle.json("tenants", "ls")["items"]} == {
        "rival": SECRETS
    }


def logs(waggle: Waggle) -> dict[str, str]:
    files = (waggle.data_dir / "logs").iterdir()
    return {file.name: file.read_text(encoding="utf-8", errors="replace") for file in files}


def shown_of_the_fleet(waggle: Waggle, tenant: Tenant) -> dict[str, str]:
    """What the tenant is shown of it; and of the audit, which is for administrators, what the host's own key is shown."""
    assert tenant.http.get(AUDIT).status_code == 403
    with waggle.http() as host:
        return {AUDIT: shown(host, AUDIT), **{path: shown(tenant.http, path) for path in FLEET}}


def shown(http: httpx.Client, path: str) -> str:
    while (answer := http.get(path)).status_code == 503:  # until an observer leads and has the time
        time.sleep(0.5)
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


async def kept_by_the_broker(waggle: Waggle) -> dict[str, str]:
    broker = await Broker.connect(admin_of(waggle.data_dir, waggle.nats_url), name="test", on_closed=lambda: None)
    storage = Storage(broker)
    try:
        return {
            subject: "\n".join([plain(stored) async for stored in storage.every(stream.name, subject)])
            for subject, stream in KEPT.items()
        }
    finally:
        await broker.close()


def plain(stored: Stored) -> str:
    """Subject, headers and data, and what a dead letter has in base64."""
    letter = stored.subject.startswith(subjects.DEAD_LETTERS)
    inside = DeadLetter.from_bytes(stored.data).payload if letter else b""
    return f"{stored.subject} {dict(stored.headers)} {(stored.data + inside).decode(errors='replace')}"
