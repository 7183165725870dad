"""The lightest HTTP client there is, so that what is measured is the server."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

from benchmarks.corpus import Text

TIMEOUT_S = 120.0
READY_TIMEOUT_S = 900.0
POLL_S = 0.05
PAGE = 200


class Client:
    """One connection, kept open. Not thread-safe."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._connection = HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_S)

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises `RuntimeError` for anything but success."""
        payload = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, payload, {"Content-Type": "application/json"})
        response = self._connection.getresponse()
        data = response.read()
        if response.status >= 400:
            raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
        answer: dict[str, Any] = json.loads(data)
        return answer

    def ask(self, question: str, *, generate: bool = True) -> dict[str, Any]:
        return self.call("POST", "/v1/query", {"query": question, "generate": generate})

    def fleet(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.call("GET", "/v1/fleet")["items"]
        return items


def submit(url: str, texts: Iterable[Text], *, connections: int = 4) -> None:
    """Hand in all texts over a few connections."""

    def send(share: Sequence[Text]) -> None:
        client = Client(url)
        for text in share:
            body = {"name": text.name, "text": text.text, "document_id": text.document_id}
            client.call("POST", "/v1/documents", body)

    every = list(texts)
    with ThreadPoolExecutor(connections) as pool:
        list(pool.map(send, (every[n::connections] for n in range(connections))))


def wait_ready(url: str, document_ids: Iterable[str]) -> None:
    """Return when every document is ready. Raises `RuntimeError` when one failed, or after `READY_TIMEOUT_S`."""
    client, deadline = Client(url), time.monotonic() + READY_TIMEOUT_S
    for document_id in reversed(list(document_ids)):  # the last one first: mostly all are ready then
        while (state := client.call("GET", f"/v1/documents/{document_id}")["state"]) != "ready":
            if state == "failed" or time.monotonic() > deadline:
                raise RuntimeError(f"document {document_id} is {state}")
            time.sleep(POLL_S)
