"""Two tenants of one stack: one asks for the other's exact words, every way there is, and is told nothing of them.

`WAGGLE_TEST_QUESTIONS=10000` asks so many questions instead of 300.
"""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.e2e.waggle import LIGHT, Waggle

pytestmark = pytest.mark.timeout(3000)

QUESTIONS = int(os.environ.get("WAGGLE_TEST_QUESTIONS", "300"))
SECRETS = 20
SCOPES = ("ingest", "query", "read", "ops")
PLACES = ("Ebberston", "Threlkeld", "Quarrington", "Osmotherley", "Wharram")


@dataclass(frozen=True)
class Tenant:
    """Somebody with a key, and what only they have: by the id of a document a sentence with a secret."""

    http: httpx.Client
    sentences: dict[str, str]

    @property
    def secrets(self) -> list[str]:
        return [sentence.rsplit(" ", 1)[1].rstrip(".") for sentence in self.sentences.values()]


@pytest.fixture
def waggle(tmp_path: Path) -> Iterator[Waggle]:
    """With a cache that all workers share."""
    stack = Waggle(data_dir=tmp_path / "data", settings={**LIGHT, "WAGGLE_CACHE": "nats"})
    stack.up()
    yield stack
    stack("down")


@pytest.fixture
def rival(waggle: Waggle) -> Iterator[Tenant]:
    """Has documents with secrets, and has asked for all of them: the answers are in the cache."""
    sentences = {
        f"vault-{number}": f"The vault of {PLACES[number % len(PLACES)]} number {number} opens with {secrets.token_hex(8)}."
        for number in range(SECRETS)
    }
    with client(waggle, "rival") as http:
        for document_id, sentence in sentences.items():
            submit(http, document_id, sentence)
        until_ready(http, sentences)
        tenant = Tenant(http, sentences)
        for sentence in sentences.values():
            for generate in (True, False):
                found = http.post("/v1/query", json={"query": sentence, "generate": generate}).json()
                assert any(sentence in passage["text"] for passage in found["passages"])
        yield tenant


@pytest.fixture
def acme(waggle: Waggle) -> Iterator[Tenant]:
    """Has one document, about the same and under an id that the rival uses, too."""
    own = {"vault-1": "The vault of Threlkeld number 1 is a honey store that opens with a wooden latch."}
    with client(waggle, "acme") as http:
        for document_id, sentence in own.items():
            submit(http, document_id, sentence)
        until_ready(http, own)
        yield Tenant(http, own)


@contextmanager
def client(waggle: Waggle, tenant: str) -> Iterator[httpx.Client]:
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    secret = waggle.json("keys", "create", tenant, "--tenant", tenant, *scopes)["secret"]
    with httpx.Client(base_url=waggle.url, timeout=60, headers={"Authorization": f"Bearer {secret}"}) as http:
        while http.get("/v1/documents").status_code != 200:  # until the gateway knows the key
            time.sleep(0.1)
        yield http


def submit(http: httpx.Client, document_id: str, text: str) -> None:
    body = {"name": f"{document_id}.txt", "text": text, "document_id": document_id}
    assert http.post("/v1/documents", json=body).status_code == 202


def until_ready(http: httpx.Client, wanted: dict[str, str]) -> None:
    for document_id in wanted:
        with http.stream("GET", f"/v1/documents/{document_id}/events") as events:
            states = [json.loads(line[6:])["state"] for line in events.iter_lines() if line.startswith("data: ")]
        assert states[-1] == "ready"


def whole(http: httpx.Client, text: str) -> str:
    return http.post("/v1/query", json={"query": text}).text


def searched(http: httpx.Client, text: str) -> str:
    return http.post("/v1/query", json={"query": text, "generate": False, "top_k": 50}).text


def by_id(http: httpx.Client, text: str) -> str:
    """Naming the document that has it."""
    number = text.split(" number ")[1].split(" ", maxsplit=1)[0]
    filters = {"document_ids": [f"vault-{number}"]}
    return http.post("/v1/query", json={"query": text, "filters": filters, "mode": "keyword"}).text


def streamed(http: httpx.Client, text: str) -> str:
    return http.post("/v1/query", json={"query": text, "stream": True}).text


def completed(http: httpx.Client, text: str) -> str:
    body = {"model": "waggle", "messages": [{"role": "user", "content": text}]}
    return http.post("/v1/chat/completions", json=body).text


def completed_in_chunks(http: httpx.Client, text: str) -> str:
    body = {"model": "waggle", "messages": [{"role": "user", "content": text}], "stream": True}
    return http.post("/v1/chat/completions", json=body).text


WAYS: list[Callable[[httpx.Client, str], str]] = [whole, searched, by_id, streamed, completed, completed_in_chunks]


def test_nobody_is_told_what_is_another_tenants(waggle: Waggle, rival: Tenant, acme: Tenant) -> None:
    ways, sentences = itertools.cycle(WAYS), itertools.cycle(rival.sentences.values())
    answered = 0
    for way, sentence in itertools.islice(zip(ways, sentences, strict=False), QUESTIONS):
        told = way(acme.http, sentence)
        assert not [secret for secret in rival.secrets if secret in told], (way.__name__, sentence, told)
        answered += "honey store" in told
    assert answered > 0  # it has been asked in earnest: what is its own is found

    for sentence in rival.sentences.values():
        assert sentence in searched(rival.http, sentence)
    logs = (waggle.data_dir / "logs").iterdir()
    shown = {file.name: file.read_text(encoding="utf-8", errors="replace") for file in logs}
    with waggle.http() as http:
        shown["metrics"] = http.get("/metrics").text
    assert not [(name, secret) for name, text in shown.items() for secret in rival.secrets if secret in text]


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
