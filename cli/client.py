"""The gateway's HTTP API as the commands use it, and its errors as sentences."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from cli import sse
from cli.config_replies import Config, Revisions, Written
from cli.dead_letter_replies import DeadLetterDetail, DeadLetterPage, Replays
from cli.exits import CommandError
from cli.gateway_errors import GatewayError, UnreachableError, json_of, raise_problem
from cli.recovery_replies import Answered
from cli.replies import Answer, Delta, Document, Fleet, Page, Problem, Readiness, Retrieved, Uploaded
from cli.silence_replies import Silence, Silences
from contracts.alert_views import AlertsView, AlertView, HistoryView, RulesView
from contracts.component_health import DependenciesView, HealthView
from contracts.diagnoses import DiagnosesView, DiagnosisHistoryView
from contracts.figures import FiguresView
from contracts.identifiers import TOKEN
from contracts.incidents import IncidentsView, IncidentView
from contracts.recovery_views import PauseView, RecoveriesView, RecoveryPlanView

__all__ = ["GatewayClient", "GatewayError", "UnreachableError"]

CONNECT_S = 5.0
REPLY_S = 30.0
UPLOAD_S = 300.0
ANSWER_SLACK_S = 10.0
"""On top of a question's own deadline, after which the gateway has to have answered."""

_LETTER = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
Model = TypeVar("Model", bound=BaseModel)
Parameters = Mapping[str, Sequence[str]]


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

    async def alerts(self, parameters: Parameters) -> AlertsView:
        """What is pending, fires, or was resolved a short while ago; `filter`, `state` and `severity` choose."""
        return self._read(AlertsView, (await self._request("GET", "/v1/alerts", params=parameters)).json())

    async def alert(self, fingerprint: str) -> AlertView:
        path = f"/v1/alerts/{_safe(fingerprint, _FINGERPRINT, 'alert')}"
        return self._read(AlertView, (await self._request("GET", path)).json())

    async def alert_history(self, parameters: Parameters) -> HistoryView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self._read(HistoryView, (await self._request("GET", "/v1/alerts/history", params=parameters)).json())

    async def silences(self, states: Sequence[str] = ()) -> Silences:
        parameters = {"state": list(states)}
        return self._read(Silences, (await self._request("GET", "/v1/silences", params=parameters)).json())

    async def add_silence(self, body: Mapping[str, Any], *, key: str) -> Silence:
        """Silence what meets `matchers` until `ends_at`. With the same key again it is the same silence."""
        reply = await self._request("POST", "/v1/silences", json=body, headers={"Idempotency-Key": key})
        return self._read(Silence, reply.json())

    async def end_silence(self, silence_id: str) -> Silence:
        path = f"/v1/silences/{_safe(silence_id, TOKEN, 'silence')}"
        return self._read(Silence, (await self._request("DELETE", path)).json())

    async def rules(self) -> RulesView:
        return self._read(RulesView, (await self._request("GET", "/v1/rules")).json())

    async def put_rules(self, name: str, text: str) -> None:
        await self._request("PUT", f"/v1/rules/{_safe(name, TOKEN, 'name of rules')}", json={"text": text})

    async def remove_rules(self, name: str) -> None:
        await self._request("DELETE", f"/v1/rules/{_safe(name, TOKEN, 'name of rules')}")

    async def config(self) -> Config:
        return self._read(Config, (await self._request("GET", "/v1/config")).json())

    async def revisions(self) -> Revisions:
        return self._read(Revisions, (await self._request("GET", "/v1/config/revisions")).json())

    async def change_config(self, body: Mapping[str, Any]) -> Written:
        return self._read(Written, (await self._request("PATCH", "/v1/config", json=body)).json())

    async def roll_back_config(self, body: Mapping[str, Any]) -> Written:
        return self._read(Written, (await self._request("POST", "/v1/config/rollback", json=body)).json())

    async def figures(self) -> FiguresView:
        return self._read(FiguresView, (await self._request("GET", "/v1/figures")).json())

    async def diagnoses(self, *, at: datetime | None = None) -> DiagnosesView:
        """Of now, or of a time."""
        asked = {} if at is None else {"at": [at.isoformat()]}
        return self._read(DiagnosesView, (await self._request("GET", "/v1/diagnoses", params=asked)).json())

    async def diagnosis_history(self, since: datetime) -> DiagnosisHistoryView:
        """What went on then or later."""
        asked = {"since": [since.isoformat()]}
        return self._read(DiagnosisHistoryView, (await self._request("GET", "/v1/diagnoses", params=asked)).json())

    async def health(self, *, since: datetime | None = None) -> HealthView:
        """The fleet's; with what has changed since then, if that is asked for."""
        parameters = {} if since is None else {"since": since.isoformat()}
        return self._read(HealthView, (await self._request("GET", "/v1/health", params=parameters)).json())

    async def dependencies(self) -> DependenciesView:
        return self._read(DependenciesView, (await self._request("GET", "/v1/dependencies")).json())

    async def incidents(self, parameters: Parameters) -> IncidentsView:
        return self._read(IncidentsView, (await self._request("GET", "/v1/incidents", params=parameters)).json())

    async def incident(self, incident: str) -> IncidentView:
        path = f"/v1/incidents/{_safe(incident, TOKEN, 'incident')}"
        return self._read(IncidentView, (await self._request("GET", path)).json())

    async def recoveries(self, parameters: Parameters) -> RecoveriesView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self._read(RecoveriesView, (await self._request("GET", "/v1/recoveries", params=parameters)).json())

    async def recovery_pause(self) -> PauseView:
        return self._read(PauseView, (await self._request("GET", "/v1/recovery/pause")).json())

    async def pause_recovery(self, body: Mapping[str, Any]) -> PauseView:
        return self._read(PauseView, (await self._request("PUT", "/v1/recovery/pause", json=body)).json())

    async def resume_recovery(self) -> PauseView:
        return self._read(PauseView, (await self._request("DELETE", "/v1/recovery/pause")).json())

    async def answer_decision(self, body: Mapping[str, Any]) -> Answered:
        return self._read(Answered, (await self._request("POST", "/v1/recovery/approvals", json=body)).json())

    async def recovery_policy(self) -> dict[str, Any]:
        return json_of(await self._request("GET", "/v1/recovery/policy"))

    async def recovery_plan(self) -> RecoveryPlanView:
        return self._read(RecoveryPlanView, (await self._request("GET", "/v1/recovery/plan")).json())

    async def ready(self) -> Readiness:
        """Also while it is not ready: then `status` and `checks` say why."""
        response = await self._send("GET", "/health/ready")
        return self._read(Readiness, {"status": "not ready", **json_of(response)})

    def _event(self, event: sse.ServerSentEvent) -> Retrieved | Delta | Answer | None:
        data = json.loads(event.data)
        if event.event == "retrieved":
            return self._read(Retrieved, data)
        if event.event == "delta":
            return self._read(Delta, data)
        return self._read(Answer, data) if event.event in {"completed", "failed", "cancelled"} else None

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        response = await self._send(method, path, **options)
        raise_problem(response)
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
                    raise_problem(response)
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
    return _safe(letter_id, _LETTER, "dead letter")


def _safe(text: str, pattern: re.Pattern[str], noun: str) -> str:
    """An id as a part of a path; what is none could lead out of it."""
    if not pattern.fullmatch(text):
        raise GatewayError(Problem(status=404, detail=f"There is no {noun} {text}."))
    return text
