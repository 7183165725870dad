"""Tenants of one stack, and every way in which one of them asks: over HTTP, and with a program at the broker."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx
import nats
from nats.aio.msg import Msg

from contracts import subjects
from contracts.queries import QueryRequest
from deploy.local.layout import Layout
from deploy.nats.users import asker
from tests.e2e.waggle import Waggle

SCOPES = ("ingest", "query", "read", "ops")
TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Tenant:
    """Somebody with a key, and what only they have: by the id of a document a sentence that ends with a secret."""

    name: str
    waggle: Waggle
    http: httpx.Client
    sentences: dict[str, str] = field(default_factory=dict)

    @property
    def secrets(self) -> list[str]:
        return [sentence.rsplit(" ", 1)[1].rstrip(".") for sentence in self.sentences.values()]

    def learn(self, sentences: dict[str, str]) -> None:
        """Hand in a document for each, and wait until all of them are found."""
        for document_id, sentence in sentences.items():
            body = {"name": f"{document_id}.txt", "text": sentence, "document_id": document_id}
            assert self.http.post("/v1/documents", json=body).status_code == 202
        for document_id in sentences:
            assert self.state(document_id) == "ready"
        self.sentences.update(sentences)

    def state(self, document_id: str) -> str:
        """How a document ends."""
        with self.http.stream("GET", f"/v1/documents/{document_id}/events") as events:
            states = [json.loads(line[6:])["state"] for line in events.iter_lines() if line.startswith("data: ")]
        return str(states[-1])


@contextmanager
def let_in(waggle: Waggle, name: str) -> Iterator[Tenant]:
    """A tenant with a key for everything but `admin`."""
    scopes = [word for scope in SCOPES for word in ("--scope", scope)]
    secret = waggle.json("keys", "create", name, "--tenant", name, *scopes)["secret"]
    shown = {"Authorization": f"Bearer {secret}"}
    with httpx.Client(base_url=waggle.url, timeout=TIMEOUT_S, headers=shown) as http:
        while http.get("/v1/documents").status_code != 200:  # until the gateway knows the key
            time.sleep(0.1)
        yield Tenant(name, waggle, http)


def whole(who: Tenant, text: str) -> str:
    return who.http.post("/v1/query", json={"query": text}).text


def searched(who: Tenant, text: str) -> str:
    return who.http.post("/v1/query", json={"query": text, "generate": False, "top_k": 50}).text


def by_id(who: Tenant, text: str) -> str:
    """Naming the document that has it."""
    number = text.split(" number ")[1].split(" ", maxsplit=1)[0]
    filters = {"document_ids": [f"vault-{number}"]}
    return who.http.post("/v1/query", json={"query": text, "filters": filters, "mode": "keyword"}).text


def streamed(who: Tenant, text: str) -> str:
    return who.http.post("/v1/query", json={"query": text, "stream": True}).text


def completed(who: Tenant, text: str) -> str:
    body = {"model": "waggle", "messages": [{"role": "user", "content": text}]}
    return who.http.post("/v1/chat/completions", json=body).text


def completed_in_chunks(who: Tenant, text: str) -> str:
    body = {"model": "waggle", "messages": [{"role": "user", "content": text}], "stream": True}
    return who.http.post("/v1/chat/completions", json=body).text


def published(who: Tenant, text: str) -> str:
    """Over NATS, by a program that the broker lets in as the tenant's: all that it hears until its question has ended."""
    return asyncio.run(_heard(who, QueryRequest(tenant=who.name, query=text)))


async def _heard(who: Tenant, request: QueryRequest) -> str:
    user, events = asker(who.name), asyncio.Queue[Msg]()
    seed = Layout(who.waggle.data_dir).nats_users / f"{user.name}.nk"
    async with asyncio.timeout(TIMEOUT_S):
        program = await nats.connect(who.waggle.nats_url, nkeys_seed=str(seed), inbox_prefix=user.inbox)
        try:
            await program.subscribe(f"{subjects.ANSWERS}.{who.name}.>", cb=events.put)
            await program.flush()
            await program.jetstream().publish(
                subjects.query_request(who.name),
                request.to_bytes(),
                headers={
                    subjects.HEADER_MESSAGE_ID: f"{who.name}.{request.query_id}",
                    subjects.HEADER_QUERY_ID: request.query_id,
                },
            )
            heard = [await events.get()]
            while heard[-1].subject != subjects.answer_end(who.name, request.query_id):
                heard.append(await events.get())
        finally:
            await program.close()
    return "\n".join(event.data.decode() for event in heard)


WAYS: list[Callable[[Tenant, str], str]] = [
    whole,
    searched,
    by_id,
    streamed,
    completed,
    completed_in_chunks,
    published,
]
