"""What servers of models reply when they are broken, wrongly set up, or none."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.model_servers import Answer, Answered, Asked, ModelServer

HUGE = 100 * 1024 * 1024

ANSWERS: dict[str, Answered] = {
    "a page": Answered.page(),
    "a page of a proxy": Answered.page(status=502),
    "half a JSON": Answered(body=b'{"data": [{"index": 0, "embedding": [0.1, '),
    "a lost connection": Answered(body=b'{"data": []}', sent=5),
    "429": Answered.json({}, status=429, **{"Retry-After": "1"}),
    "500": Answered.json({"error": {"message": "engine died"}}, status=500),
    "401": Answered.json({"error": {"message": "no such key"}}, status=401),
    "a redirect": Answered.json({}, status=307, Location="http://127.0.0.1:1/v1/elsewhere"),
    "no such model": Answered.json({"error": {"message": "The model `x` does not exist"}}, status=404),
    "JSON of another kind": Answered.json({"id": "cmpl-1", "choices": []}),
}
"""The same to every request."""


def huge(_: Asked) -> Answered:
    """More than any reply holds."""
    return Answered(body=b" " * HUGE)


@contextmanager
def replying(server: ModelServer, answer: Answer) -> Iterator[None]:
    """The server answers so while the body runs, and as before after it."""
    before, server.answer = server.answer, answer
    try:
        yield
    finally:
        server.answer = before


@contextmanager
def hanging(server: ModelServer) -> Iterator[None]:
    """The server says nothing while the body runs."""
    opened = threading.Event()
    with replying(server, lambda _: Answered(body=b"{}", after=opened)):
        try:
            yield
        finally:
            opened.set()
