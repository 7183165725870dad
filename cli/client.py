"""The gateway's HTTP API as the commands use it, and its errors as sentences."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from cli.config_replies import Config, Revisions, Written
from cli.dead_letter_replies import DeadLetterDetail, DeadLetterPage, Replays
from cli.gateway_errors import GatewayError, UnreachableError, json_of
from cli.gateway_http import CONNECT_S, safe
from cli.key_replies import Key, Keys, MadeKey
from cli.query_client import QueryClient
from cli.recovery_replies import Answered
from cli.replies import Document, Fleet, Page, Readiness, Uploaded
from cli.silence_replies import Silence, Silences
from cli.tenant_replies import Tenant, Tenants
from contracts.alert_views import AlertsView, AlertView, HistoryView, RulesView
from contracts.audit_views import AuditView
from contracts.component_health import DependenciesView, HealthView
from contracts.diagnoses import DiagnosesView, DiagnosisHistoryView
from contracts.figures import FiguresView
from contracts.identifiers import TOKEN
from contracts.incidents import IncidentsView, IncidentView
from contracts.recovery_views import PauseView, RecoveriesView, RecoveryPlanView

__all__ = ["GatewayClient", "GatewayError", "UnreachableError"]

UPLOAD_S = 330.0

_LETTER = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_KEY = re.compile(r"[a-z2-7]{16}")
_FINGERPRINT = re.compile(r"[0-9a-f]{16}")
Parameters = Mapping[str, Sequence[str]]


class GatewayClient(QueryClient):
    """Use as an asynchronous context manager. Every call raises `GatewayError` or `UnreachableError`."""

    async def upload(
        self, file: Path, *, name: str, document_id: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> Uploaded:
        """Send one file, read piece by piece."""
        fields = {"document_id": document_id, "metadata": json.dumps(metadata) if metadata else None}
        with file.open("rb") as content:
            reply = await self.request(
                "POST",
                "/v1/documents",
                data={key: value for key, value in fields.items() if value is not None},
                files={"file": (name, content, "application/octet-stream")},
                timeout=httpx.Timeout(UPLOAD_S, connect=CONNECT_S),
            )
        return self.read(Uploaded, reply.json()["items"][0])

    async def submit_text(self, text: str, *, name: str, document_id: str | None = None) -> Uploaded:
        body = {"name": name, "text": text, **({"document_id": document_id} if document_id else {})}
        return self.read(Uploaded, (await self.request("POST", "/v1/documents", json=body)).json())

    async def submit_url(self, url: str, *, document_id: str, metadata: Mapping[str, str] | None = None) -> Uploaded:
        """Have the gateway fetch a document; it answers when it has all of it."""
        body = {"url": url, "document_id": document_id, **({"metadata": metadata} if metadata else {})}
        timeout = httpx.Timeout(UPLOAD_S, connect=CONNECT_S)
        return self.read(Uploaded, (await self.request("POST", "/v1/documents/url", json=body, timeout=timeout)).json())

    async def document(self, document_id: str) -> Document:
        return self.read(Document, (await self.request("GET", f"/v1/documents/{document_id}")).json())

    async def documents(
        self,
        *,
        states: Sequence[str] = (),
        limit: int | None = None,
        cursor: str | None = None,
        conditions: Mapping[str, Any] | None = None,
    ) -> Page:
        """One page, newest submission first; `next` is the cursor of the following one. `conditions` are those of
        `GET /v1/documents`; with `name_prefix` they come in the order of names.
        """
        asked = {"state": list(states) or None, "limit": limit, "cursor": cursor, **(conditions or {})}
        parameters = {key: value for key, value in asked.items() if value is not None}
        return self.read(Page, (await self.request("GET", "/v1/documents", params=parameters)).json())

    async def delete_document(self, document_id: str) -> Document:
        return self.read(Document, (await self.request("DELETE", f"/v1/documents/{document_id}")).json())

    async def text(self, document_id: str, start: int, end: int) -> str:
        """The characters `[start, end)` of a document's extracted text."""
        path = f"/v1/documents/{document_id}/text"
        return (await self.request("GET", path, params={"start": start, "end": end})).content.decode()

    async def dead_letters(
        self, filters: Mapping[str, str], *, limit: int, cursor: str | None = None
    ) -> DeadLetterPage:
        """One page, oldest first; `next` is the cursor of the following one."""
        parameters = {**filters, "limit": limit, **({} if cursor is None else {"cursor": cursor})}
        return self.read(DeadLetterPage, (await self.request("GET", "/v1/dlq", params=parameters)).json())

    async def dead_letter(self, letter_id: str) -> DeadLetterDetail:
        return self.read(DeadLetterDetail, (await self.request("GET", f"/v1/dlq/{_letter(letter_id)}")).json())

    async def replay_dead_letter(self, letter_id: str) -> None:
        await self.request("POST", f"/v1/dlq/{_letter(letter_id)}/replay")

    async def replay_dead_letters(self, filters: Mapping[str, str], *, cursor: str | None = None) -> Replays:
        """Replay a page of those that match; `next` is the cursor of the following one."""
        body = {**filters, "cursor": cursor}
        return self.read(Replays, (await self.request("POST", "/v1/dlq/replay", json=body)).json())

    async def drop_dead_letter(self, letter_id: str) -> None:
        await self.request("DELETE", f"/v1/dlq/{_letter(letter_id)}")

    async def fleet(self) -> Fleet:
        return self.read(Fleet, (await self.request("GET", "/v1/fleet")).json())

    async def alerts(self, parameters: Parameters) -> AlertsView:
        """What is pending, fires, or was resolved a short while ago; `filter`, `state` and `severity` choose."""
        return self.read(AlertsView, (await self.request("GET", "/v1/alerts", params=parameters)).json())

    async def alert(self, fingerprint: str) -> AlertView:
        path = f"/v1/alerts/{safe(fingerprint, _FINGERPRINT, 'alert')}"
        return self.read(AlertView, (await self.request("GET", path)).json())

    async def alert_history(self, parameters: Parameters) -> HistoryView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self.read(HistoryView, (await self.request("GET", "/v1/alerts/history", params=parameters)).json())

    async def silences(self, states: Sequence[str] = ()) -> Silences:
        return self.read(Silences, await self.all_pages("/v1/silences", {"state": list(states)}))

    async def add_silence(self, body: Mapping[str, Any], *, key: str) -> Silence:
        """Silence what meets `matchers` until `ends_at`. With the same key again it is the same silence."""
        reply = await self.request("POST", "/v1/silences", json=body, headers={"Idempotency-Key": key})
        return self.read(Silence, reply.json())

    async def end_silence(self, silence_id: str) -> Silence:
        path = f"/v1/silences/{safe(silence_id, TOKEN, 'silence')}"
        return self.read(Silence, (await self.request("DELETE", path)).json())

    async def rules(self) -> RulesView:
        return self.read(RulesView, (await self.request("GET", "/v1/rules")).json())

    async def put_rules(self, name: str, text: str) -> None:
        await self.request("PUT", f"/v1/rules/{safe(name, TOKEN, 'name of rules')}", json={"text": text})

    async def remove_rules(self, name: str) -> None:
        await self.request("DELETE", f"/v1/rules/{safe(name, TOKEN, 'name of rules')}")

    async def config(self) -> Config:
        return self.read(Config, (await self.request("GET", "/v1/config")).json())

    async def revisions(self) -> Revisions:
        return self.read(Revisions, (await self.request("GET", "/v1/config/revisions")).json())

    async def change_config(self, body: Mapping[str, Any]) -> Written:
        return self.read(Written, (await self.request("PATCH", "/v1/config", json=body)).json())

    async def roll_back_config(self, body: Mapping[str, Any]) -> Written:
        return self.read(Written, (await self.request("POST", "/v1/config/rollback", json=body)).json())

    async def figures(self) -> FiguresView:
        return self.read(FiguresView, (await self.request("GET", "/v1/figures")).json())

    async def diagnoses(self, *, at: datetime | None = None) -> DiagnosesView:
        """Of now, or of a time."""
        asked = {} if at is None else {"at": [at.isoformat()]}
        return self.read(DiagnosesView, (await self.request("GET", "/v1/diagnoses", params=asked)).json())

    async def diagnosis_history(self, since: datetime) -> DiagnosisHistoryView:
        """What went on then or later."""
        found = await self.all_pages("/v1/diagnoses", {"since": [since.isoformat()]})
        return self.read(DiagnosisHistoryView, found)

    async def health(self, *, since: datetime | None = None) -> HealthView:
        """The fleet's; with what has changed since then, if that is asked for."""
        parameters = {} if since is None else {"since": since.isoformat()}
        return self.read(HealthView, (await self.request("GET", "/v1/health", params=parameters)).json())

    async def dependencies(self) -> DependenciesView:
        return self.read(DependenciesView, (await self.request("GET", "/v1/dependencies")).json())

    async def incidents(self, parameters: Parameters, *, most: int) -> IncidentsView:
        """The newest; `next` is not None where there are more than `most`."""
        return self.read(IncidentsView, await self.all_pages("/v1/incidents", parameters, most=most))

    async def incident(self, incident: str) -> IncidentView:
        path = f"/v1/incidents/{safe(incident, TOKEN, 'incident')}"
        return self.read(IncidentView, (await self.request("GET", path)).json())

    async def recoveries(self, parameters: Parameters) -> RecoveriesView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self.read(RecoveriesView, (await self.request("GET", "/v1/recoveries", params=parameters)).json())

    async def audit(self, parameters: Parameters) -> AuditView:
        """One page, oldest first; `next` is the cursor of the following one."""
        return self.read(AuditView, (await self.request("GET", "/v1/audit", params=parameters)).json())

    async def recovery_pause(self) -> PauseView:
        return self.read(PauseView, (await self.request("GET", "/v1/recovery/pause")).json())

    async def pause_recovery(self, body: Mapping[str, Any]) -> PauseView:
        return self.read(PauseView, (await self.request("PUT", "/v1/recovery/pause", json=body)).json())

    async def resume_recovery(self) -> PauseView:
        return self.read(PauseView, (await self.request("DELETE", "/v1/recovery/pause")).json())

    async def answer_decision(self, body: Mapping[str, Any]) -> Answered:
        return self.read(Answered, (await self.request("POST", "/v1/recovery/approvals", json=body)).json())

    async def recovery_policy(self) -> dict[str, Any]:
        return json_of(await self.request("GET", "/v1/recovery/policy"))

    async def recovery_plan(self) -> RecoveryPlanView:
        return self.read(RecoveryPlanView, (await self.request("GET", "/v1/recovery/plan")).json())

    async def keys(self, parameters: Parameters) -> Keys:
        return self.read(Keys, await self.all_pages("/v1/keys", parameters))

    async def create_key(self, body: Mapping[str, Any]) -> MadeKey:
        return self.read(MadeKey, (await self.request("POST", "/v1/keys", json=body)).json())

    async def rotate_key(self, key_id: str, body: Mapping[str, Any]) -> MadeKey:
        path = f"/v1/keys/{safe(key_id, _KEY, 'key')}/rotate"
        return self.read(MadeKey, (await self.request("POST", path, json=body)).json())

    async def revoke_key(self, key_id: str) -> Key:
        return self.read(Key, (await self.request("DELETE", f"/v1/keys/{safe(key_id, _KEY, 'key')}")).json())

    async def tenants(self, cursor: str | None) -> Tenants:
        """One page; `next` is the cursor of the following one."""
        parameters = {} if cursor is None else {"cursor": cursor}
        return self.read(Tenants, (await self.request("GET", "/v1/tenants", params=parameters)).json())

    async def tenant(self, tenant: str) -> Tenant:
        return self.read(Tenant, (await self.request("GET", _tenant(tenant))).json())

    async def agree(self, tenant: str, terms: Mapping[str, Any]) -> Tenant:
        return self.read(Tenant, (await self.request("PUT", _tenant(tenant), json=terms)).json())

    async def end_agreement(self, tenant: str) -> Tenant:
        return self.read(Tenant, (await self.request("DELETE", _tenant(tenant))).json())

    async def ready(self) -> Readiness:
        """Also while it is not ready: then `status` and `checks` say why."""
        response = await self.send("GET", "/health/ready")
        return self.read(Readiness, {"status": "not ready", **json_of(response)})


def _tenant(tenant: str) -> str:
    return f"/v1/tenants/{safe(tenant, TOKEN, 'tenant')}"


def _letter(letter_id: str) -> str:
    return safe(letter_id, _LETTER, "dead letter")
