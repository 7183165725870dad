"""Life-cycle facts as they arrive: told apart by subject, repeats dropped, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts import subjects
from contracts.errors import InvalidMessageError
from contracts.events import DocumentEvent, QueryEvent, QueryFact
from contracts.identifiers import TOKEN
from contracts.reconciliation import ReconcileEvent
from observability.intake import catalogue
from observability.intake.documents import Documents
from observability.intake.errors import MisaddressedError
from observability.intake.queries import Queries
from observability.intake.recent import SeenIds
from observability.intake.tally import Tally

LARGEST_BYTES: Final = 256 * 1024


class LifeCycle:
    """Counts what happens to questions and documents. Facts are told at least once; their ids tell repeats."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._seen = SeenIds()
        self.queries = Queries(tally)
        self._documents = Documents(tally)

    def take(self, subject: str, headers: Mapping[str, str], data: bytes, *, now: float) -> None:
        """Count a fact.

        Raises `WaggleError` for what is none, `MisaddressedError` where the body says otherwise than the subject.
        """
        kind = subject.removeprefix(f"{subjects.EVENTS}.").partition(".")[0]
        if len(data) > LARGEST_BYTES:
            raise InvalidMessageError(f"{len(data)} bytes are more than a fact has")
        if kind == "query":
            self._query(subject, headers, data, now)
        elif kind == "document":
            document = DocumentEvent.from_bytes(data)
            if self._is_news(document.id, subject, subjects.document_event(document.fact, document.tenant)):
                self._documents.take(document, now=now)
        elif kind == "reconcile":
            remedy = ReconcileEvent.from_bytes(data)
            if self._is_news(remedy.id, subject, subjects.reconcile_event(remedy.remedy, remedy.tenant)):
                self._tally.add(catalogue.RECONCILED, remedy.count, remedy=remedy.remedy.value)
        else:
            raise InvalidMessageError("a fact of a kind that is not known")

    def _query(self, subject: str, headers: Mapping[str, str], data: bytes, now: float) -> None:
        if data:
            event = QueryEvent.from_bytes(data)
            if self._is_news(event.id, subject, subjects.query_event(event.fact, event.tenant)):
                self.queries.take(event, now=now)
            return
        # The broker's copy of a question's headers. Without an id among them the retrieve worker tells it, with a body.
        tenant, query_id = subjects.tenant_of(subject), headers.get(subjects.HEADER_QUERY_ID, "")
        if subject != subjects.query_event(QueryFact.ACCEPTED, tenant):
            raise InvalidMessageError("a fact without a body")
        if TOKEN.fullmatch(query_id) and self._seen.is_new(f"query.{tenant}.{query_id}.{QueryFact.ACCEPTED}"):
            self.queries.accept(tenant, query_id, now=now)

    def _is_news(self, id: str, subject: str, expected: str) -> bool:
        if subject != expected:
            raise MisaddressedError(f"told on {subject}, but it belongs on {expected}")
        return self._seen.is_new(id)
