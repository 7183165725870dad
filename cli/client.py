"""The gateway's HTTP API as the commands use it, and its errors as sentences."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from cli import sse
from cli.dead_letter_replies import DeadLetterDetail, DeadLetterPage, Replays
from cli.exits import CommandError, Exit
from cli.replies import Answer, Delta, Document, Fleet, Page, Problem, Readiness, Reply, Retrieved, Uploaded

CONNECT_S = 5.0
REPLY_S = 30.0
UPLOAD_S = 300.0
ANSWER_SLACK_S = 10.0
"""On top of a question's own deadline, after which the gateway has to have answered."""

_LETTER = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
Model = TypeVar("Model", bound=Reply)


class GatewayError(CommandError):
    """The gateway refused. `retry_after_s` is when it said to come back, None when it did not."""

    def __init__(self, problem: Problem, *, retry_after_s: float | None = None) -> None:
        super().__init__(problem.detail or problem.title or f"the gateway answered {problem.status}")
        self.problem = problem
        self.retry_after_s = retry_after_s


class UnreachableError(CommandError):
    """Nobody answers at the gateway's address, or the connection broke."""

    def __init__(self, url: str, reason: str) -> None:
        hint = "Start it with `waggle up`, or set WAGGLE_URL to where it runs."
        super().__init__(f"cannot reach the gateway at {url}: {reason}", hint=hint, code=Exit.UNREACHABLE)


class GatewayClient:
    """Use as an asynchronous context manager. Every call raises `GatewayError` or `UnreachableError`."""

    def __init__(
        self, url: str, *, api_key: str | None = None, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        self.url = url.rstrip("/")
        self._http = httpx.AsyncClient(
            base_url=self.url,
            transport=transport,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(REPLY_S, connect=CONNECT_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def upload(
        self, file: Path, *, name: str, document_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Uploaded:
        """Send one file, read piece by piece."""
        fields = {"document_id": document_id, "metadata": json.dumps(metadata) if metadata else None}
        with file.open("rb") as content:
            reply = await self._request(
                "POST",
                "/v1/documents",
                data={key: value for key, value in fields.items() if value is not None},
                files={"file": (name, content, "application/octet-stream")},
                timeout=httpx.Timeout(UPLOAD_S, connect=CONNECT_S),
            )
        return self._read(Uploaded, reply.json()["items"][0])

    async def submit_text(self, text: str, *, name: str, document_id: str | None = None) -> Uploaded:
        body = {"name": name, "text": text, **({"document_id": document_id} if document_id else {})}
        return self._read(Uploaded, (await self._request("POST", "/v1/documents", json=body)).json())

    async def document(self, document_id: str) -> Document:
        return self._read(Document, (await self._request("GET", f"/v1/documents/{document_id}")).json())

    async def documents(
        self, *, states: Sequence[str] = (), limit: int | None = None, cursor: str | None = None
    ) -> Page:
        """One page, newest submission first; `next` is the cursor of the following one."""
        asked = {"state": list(states) or None, "limit": limit, "cursor": cursor}
        parameters = {key: value for key, value in asked.items() if value is not None}
        return self._read(Page, (await self._request("GET", "/v1/documents", params=parameters)).json())

    async def delete_document(self, document_id: str) -> Document:
        return self._read(Document, (await self._request("DELETE", f"/v1/documents/{document_id}")).json())

    async def text(self, document_id: str, start: int, end: int) -> str:
        """The characters `[start, end)` of a document's extracted text."""
        path = f"/v1/documents/{document_id}/text"
        return (await self._request("GET", path, params={"start": start, "end": end})).content.decode()

    async def query(self, body: Mapping[str, Any], *, deadline_s: float) -> Answer:
        """Ask, or search, and wait for the end. `body` is that of `POST /v1/query`."""
        timeout = httpx.Timeout(deadline_s + ANSWER_SLACK_S, connect=CONNECT_S)
        asked = {**body, "deadline_s": deadline_s, "stream": False}
        return self._read(Answer, (await self._request("POST", "/v1/query", json=asked, timeout=timeout)).json())

    async def stream(
        self, body: Mapping[str, Any], *, deadline_s: float
    ) -> AsyncGenerator[Retrieved | Delta | Answer, None]:
        """Ask, and yield what comes: passages, pieces of text, then one `Answer`."""
        timeout = httpx.Timeout(deadline_s + ANSWER_SLACK_S, connect=CONNECT_S)
        asked = {**body, "deadline_s": deadline_s, "stream": True}
        async with self._streaming("POST", "/v1/query", json=asked, timeout=timeout) as response:
            async for event in sse.events(response.aiter_lines()):
                reply = self._event(event)
                if reply is not None:
                    yield reply
                if isinstance(reply, Answer):
                    return
        raise UnreachableError(self.url, "the stream broke off before the answer ended")

    async def dead_letters(self, filters: Mapping[str, str], *, limit: int, cursor: int = 0) -> DeadLetterPage:
        """One page, oldest first; `next` is the cursor of the following one."""
        parameters = {**filters, "limit": limit, "cursor": cursor}
        return self._read(DeadLetterPage, (await self._request("GET", "/v1/dlq", params=parameters)).json())

    async def dead_letter(self, letter_id: str) -> DeadLetterDetail:
        return self._read(DeadLetterDetail, (await self._request("GET", f"/v1/dlq/{_letter(letter_id)}")).json())

    async def replay_dead_letter(self, letter_id: str) -> None:
        await self._request("POST", f"/v1/dlq/{_letter(letter_id)}/replay")

    async def replay_dead_letters(self, filters: Mapping[str, str], *, cursor: int = 0) -> Replays:
        """Replay a page of those that match; `next` is the cursor of the following one."""
        body = {**filters, "cursor": cursor}
        return self._read(Replays, (await self._request("POST", "/v1/dlq/replay", json=body)).json())

    async def drop_dead_letter(self, letter_id: str) -> None:
        await self._request("DELETE", f"/v1/dlq/{_letter(letter_id)}")

    async def fleet(self) -> Fleet:
        return self._read(Fleet, (await self._request("GET", "/v1/fleet")).json())

    async def ready(self) -> Readiness:
        """Also while it is not ready: then `status` and `checks` say why."""
        response = await self._send("GET", "/health/ready")
        return self._read(Readiness, {"status": "not ready", **_json(response)})

    def _event(self, event: sse.ServerSentEvent) -> Retrieved | Delta | Answer | None:
        data = json.loads(event.data)
        if event.event == "retrieved":
            return self._read(Retrieved, data)
        if event.event == "delta":
            return self._read(Delta, data)
        return self._read(Answer, data) if event.event in {"completed", "failed", "cancelled"} else None

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self._send(method, path, **options)
        _raise_problem(response)
        return response

    async def _send(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            return await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    @asynccontextmanager
    async def _streaming(self, method: str, path: str, **options: Any) -> AsyncIterator[httpx.Response]:
        try:
            async with self._http.stream(method, path, **options) as response:
                if response.is_error:
                    await response.aread()
                    _raise_problem(response)
                yield response
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: httpx.TransportError) -> UnreachableError:
        return UnreachableError(self.url, str(error) or type(error).__name__)

    def _read(self, model: type[Model], data: object) -> Model:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            raise CommandError(
                f"{self.url} does not answer as a Waggle gateway does: {error.error_count()} unexpected fields",
                hint="Check WAGGLE_URL, and that gateway and command line are of the same release.",
            ) from error


def _letter(letter_id: str) -> str:
    """A letter's id as a part of a path; others could lead out of it."""
    if not _LETTER.fullmatch(letter_id):
        raise GatewayError(Problem(status=404, detail=f"There is no dead letter {letter_id}."))
    return letter_id


def _raise_problem(response: httpx.Response) -> None:
    if not response.is_error:
        return
    problem = {"title": response.reason_phrase, **_json(response), "status": response.status_code}
    after = response.headers.get("retry-after", "")
    raise GatewayError(Problem.model_validate(problem), retry_after_s=float(after) if after.isdecimal() else None)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
