"""Every subject and header name, in one place. Tenants and ids are validated tokens before they come here."""

from __future__ import annotations

import re

from contracts.alerts import AlertEvent
from contracts.events import DocumentFact, QueryFact
from contracts.observing import RequestKind
from contracts.reconciliation import Remedy
from contracts.recovery import Target

HEADER_BUDGET_MS = "Waggle-Budget-Ms"
"""How many milliseconds after the broker's time of the message its query must have ended."""
HEADER_QUERY_ID = "Waggle-Query-Id"
HEADER_MESSAGE_ID = "Nats-Msg-Id"
HEADER_REQUEUED = "Waggle-Requeued"
"""On a message that lay in its queue undelivered and was put there anew: which one it was."""
HEADER_REQUEST_ID = "Waggle-Request-Id"
"""Which request all this goes back to, for the logs of every process that works on it."""

INGEST_REQUESTS = "rag.ingest.requests"
EMBED_REQUESTS = "rag.embed.requests"
EMBED_PURGES = "rag.embed.purges"
QUERY_REQUESTS = "rag.query.requests"
WITHDRAWALS = "rag.query.withdrawals"
GENERATE_REQUESTS = "rag.generate.requests"
ANSWERS = "rag.answers"
TERMINALS = "rag.terminal"
EVENTS = "rag.events"
DEAD_LETTERS = "rag.dlq"
ALERTS = "rag.alerts"
NOTIFICATIONS = "rag.notifications"
RECOVERY = "rag.recovery"
RECOVERY_COMMANDS = f"{RECOVERY}.commands"
CONFIG_CHANGES = "rag.config.changes"
AUDIT = "rag.audit"
HEALTH = "rag.health"
METRICS = "rag.metrics"
CANCEL = "rag.cancel"
RESUME = "rag.resume"
CENSUS = "rag.index.census"
CONDENSE = "rag.generate.condense"
ENCODE = "rag.retrieve.encode"
CONTROL = "rag.control"
CACHE_CONTROL = "rag.control.cache"
ENDPOINT_ORDERS = "rag.control.endpoints"
ENDPOINT_REPORTS = "rag.control.endpoints.report"
OBSERVER_REQUESTS = "rag.observer.requests"

_NOT_IN_TOKENS = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_TOKEN = 128


def ingest_request(tenant: str) -> str:
    return f"{INGEST_REQUESTS}.{tenant}"


def embed_request(tenant: str) -> str:
    return f"{EMBED_REQUESTS}.{tenant}"


def embed_purge(tenant: str) -> str:
    return f"{EMBED_PURGES}.{tenant}"


def query_request(tenant: str) -> str:
    return f"{QUERY_REQUESTS}.{tenant}"


def generate_request(tenant: str, track: str = "stable") -> str:
    return f"{GENERATE_REQUESTS}.{track}.{tenant}"


def answer(tenant: str, query_id: str) -> str:
    return f"{ANSWERS}.{tenant}.{query_id}"


def answer_end(tenant: str, query_id: str) -> str:
    return f"{ANSWERS}.{tenant}.{query_id}.end"


def terminal(tenant: str, query_id: str) -> str:
    return f"{TERMINALS}.{tenant}.{query_id}"


def document_event(fact: DocumentFact, tenant: str) -> str:
    return f"{EVENTS}.document.{fact}.{tenant}"


def query_event(fact: QueryFact, tenant: str) -> str:
    return f"{EVENTS}.query.{fact}.{tenant}"


def reconcile_event(remedy: Remedy, tenant: str) -> str:
    return f"{EVENTS}.reconcile.{remedy}.{tenant}"


def dead_letter(stream: str, message_id: str) -> str:
    return f"{DEAD_LETTERS}.{stream}.{message_id}"


def alert(event: AlertEvent) -> str:
    """`rag.alerts.<severity>.<alertname>`. Labels may hold what a token may not: that becomes `_` here, and only here."""
    return f"{ALERTS}.{_token(event.severity)}.{_token(event.name)}"


def alerts(*, severity: str | None = None, name: str | None = None) -> str:
    """The subject of all alerts of a severity and name, or of any."""
    return f"{ALERTS}.{'*' if severity is None else _token(severity)}.{'*' if name is None else _token(name)}"


def notification(channel: str) -> str:
    return f"{NOTIFICATIONS}.{channel}"


def recovery_command(target: Target) -> str:
    """One subject for each target: the last command to it is what the next one is written against."""
    return f"{RECOVERY_COMMANDS}.{target.key}"


def recovery_decision(incident: str) -> str:
    return f"{RECOVERY}.decisions.{incident}"


def recovery_result(command: str) -> str:
    return f"{RECOVERY}.results.{command}"


def recovery_verification(incident: str) -> str:
    return f"{RECOVERY}.verifications.{incident}"


def recovery_approval(decision: str) -> str:
    return f"{RECOVERY}.approvals.{decision}"


def audit(kind: str, act: str) -> str:
    """Both what is about to be done, and what came of it."""
    return f"{AUDIT}.{kind}.{act}"


def health(service: str, instance: str) -> str:
    return f"{HEALTH}.{service}.{instance}"


def metrics(service: str, instance: str) -> str:
    return f"{METRICS}.{service}.{instance}"


def control(service: str, instance: str) -> str:
    """Orders to one process. No service is called `cache` or `endpoints`: word of those goes to all."""
    return f"{CONTROL}.{service}.{instance}"


def cancel(tenant: str, query_id: str) -> str:
    return f"{CANCEL}.{tenant}.{query_id}"


def withdrawal(tenant: str, query_id: str) -> str:
    """Who asked does not want the answer any more."""
    return f"{WITHDRAWALS}.{tenant}.{query_id}"


def resume(tenant: str, query_id: str) -> str:
    """Somebody reads this answer on after its first reader left: do not cancel it."""
    return f"{RESUME}.{tenant}.{query_id}"


def observer_request(kind: RequestKind) -> str:
    return f"{OBSERVER_REQUESTS}.{kind}"


def tenant_of(subject: str) -> str:
    """The tenant of a work subject: its last token."""
    return subject.rsplit(".", 1)[-1]


def _token(text: str) -> str:
    return _NOT_IN_TOKENS.sub("_", text)[:_LONGEST_TOKEN]
