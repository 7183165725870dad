"""Servers of models for tests: real ones, on a port of this host, whose replies a test decides."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

from workers.encoding.base import Vector

LETTERS = 128
"""The dimension of `letters`."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answered:
    """A reply. `sent`: so many bytes of the body are sent, then the connection ends. `after`: waits for it first.

    `drips`: bytes come one by one, with a pause of so many seconds.
    """

    body: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    sent: int | None = None
    after: threading.Event | None = None
    drips: float | None = None

    @classmethod
    def json(cls, body: object, *, status: int = 200, **headers: str) -> Answered:
        kind = {"Content-Type": "application/json"}
        return cls(body=json.dumps(body).encode(), status=status, headers=kind | headers)

    @classmethod
    def page(cls, *, status: int = 200) -> Answered:
        return cls(body=b"<html><body>Welcome</body></html>", status=status, headers={"Content-Type": "text/html"})


Answer = Callable[[Asked], Answered]


class ModelServer:
    """Answers with what is in `next`, one reply after the other, then with what `answer` says."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.next: deque[Answered] = deque()
        self.asked: list[Asked] = []
        self.probes = 0
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    @classmethod
    @contextmanager
    def running(cls, answer: Answer) -> Iterator[ModelServer]:
        server = cls(answer)
        thread = threading.Thread(target=server._http.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server._http.shutdown()
            thread.join()
            server._http.server_close()

    def listed(self, asked: Asked) -> Answered:
        """To GET, as probes do: as it answers to nothing at all."""
        self.probes += 1
        return self.answer(asked)

    def reply(self, asked: Asked) -> Answered:
        self.asked.append(asked)
        return self.next.popleft() if self.next else self.answer(asked)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    owner: ModelServer

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that went away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._send(self.server.owner.listed(Asked(path=self.path, headers=dict(self.headers), body={})))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        asked = Asked(path=self.path, headers=dict(self.headers), body=json.loads(content))
        self._send(self.server.owner.reply(asked))

    def _send(self, answered: Answered) -> None:
        if answered.after is not None:
            answered.after.wait(30)
        self.send_response(answered.status)
        for name, value in answered.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answered.body)))
        self.end_headers()
        if answered.drips is None:
            self.wfile.write(answered.body[: answered.sent])
        else:
            for byte in answered.body:
                time.sleep(answered.drips)
                self.wfile.write(bytes([byte]))
        self.close_connection = self.close_connection or answered.sent is not None

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def embeddings(encode: Callable[[Sequence[str]], Vector]) -> Answer:
    """`/v1/embeddings` over `encode`; in base64 where that is asked for, and in no order."""

    def answer(asked: Asked) -> Answered:
        if "input" not in asked.body:
            return Answered.json({"error": {"message": "missing field `input`"}}, status=422)
        texts = asked.body["input"]
        vectors = encode(texts)[:, : asked.body.get("dimensions")]
        packed = asked.body.get("encoding_format") == "base64"
        rows = [
            {
                "object": "embedding",
                "index": place,
                "embedding": base64.b64encode(row.astype("<f4").tobytes()).decode() if packed else row.tolist(),
            }
            for place, row in enumerate(vectors)
        ]
        return Answered.json({"object": "list", "model": asked.body["model"], "data": rows[::-1]})

    return answer


def reranking(score: Callable[[str], float], *, form: str = "documents") -> Answer:
    """`/rerank` by `score`, best first. The form `texts` is text-embeddings-inference's, and refuses the other."""

    def answer(asked: Asked) -> Answered:
        if form not in asked.body:
            return Answered.json({"error": f"missing field `{form}`"}, status=422)
        name = "relevance_score" if form == "documents" else "score"
        rows = [{"index": place, name: float(score(text))} for place, text in enumerate(asked.body[form])]
        rows = sorted(rows, key=lambda row: -row[name])[: asked.body.get("top_n")]
        return Answered.json({"results": rows} if form == "documents" else rows)

    return answer


def letters(texts: Sequence[str]) -> Vector:
    """How often each letter is in each text: vectors that can be told by hand, not of length one."""
    return np.array(
        [np.bincount([ord(c) % LETTERS for c in text], minlength=LETTERS) for text in texts], dtype=np.float32
    )
