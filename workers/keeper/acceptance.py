"""Reads from messages which query was accepted, by when it must have ended, and which has ended."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts import subjects
from contracts.errors import WaggleError
from contracts.events import QueryEvent, QueryFact
from contracts.identifiers import TOKEN
from contracts.queries import QueryRequest
from messaging.deadlines import budget_s
from messaging.storage import Stored
from workers.keeper.deadlines import Key

ACCEPTED = subjects.query_event(QueryFact.ACCEPTED, "*")
FACTS = f"{subjects.EVENTS}.query.*.*"

_ENDED = frozenset({QueryFact.COMPLETED, QueryFact.FAILED, QueryFact.CANCELLED})


def query_of(subject: str, headers: Mapping[str, str], body: bytes = b"") -> Key | None:
    """Tenant and id of a query, from the subject and the header, else from the request's body; None when neither tells."""
    tenant, named = subjects.tenant_of(subject), headers.get(subjects.HEADER_QUERY_ID, "")
    if not TOKEN.fullmatch(tenant):
        return None
    if TOKEN.fullmatch(named):
        return tenant, named
    try:
        return (tenant, QueryRequest.from_bytes(body).query_id) if body else None
    except WaggleError:  # no query: its worker dead-letters it
        return None


def deadline_of(headers: Mapping[str, str], accepted_at: datetime) -> datetime:
    """When the query must have ended."""
    return accepted_at + timedelta(seconds=budget_s(headers))


def ended_by(fact: Stored) -> Key | None:
    """Which query this life-cycle fact says has ended, if any."""
    if fact.subject.split(".")[3] not in _ENDED:
        return None
    try:
        event = QueryEvent.from_bytes(fact.data)
    except WaggleError:  # the timer stays, and looks for the terminal itself
        return None
    return event.tenant, event.query_id
