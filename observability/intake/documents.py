"""What becomes of documents, counted from their life-cycle facts."""

from __future__ import annotations

from typing import Final

from contracts.events import DocumentEvent, DocumentFact
from observability.intake import catalogue
from observability.intake.recent import OpenSpans
from observability.intake.tally import Tally

LONGEST_S: Final = 86_400.0
DURATIONS_S: Final = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 21_600.0)
HISTOGRAMS: Final = {catalogue.DOCUMENT_SEARCHABLE: DURATIONS_S}

_OUTCOMES: Final = frozenset({DocumentFact.READY, DocumentFact.FAILED, DocumentFact.SUPERSEDED, DocumentFact.DELETED})


class Documents:
    """Counts facts, each once; repeats are dropped before. Times are those between arrivals here, as for questions."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._open = OpenSpans[tuple[str, str, str]](longest_s=LONGEST_S)
        for outcome in _OUTCOMES:
            tally.add(catalogue.DOCUMENTS, 0, outcome=outcome.value)

    def take(self, event: DocumentEvent, *, now: float) -> None:
        """Count a fact."""
        key = event.tenant, event.document_id, event.generation
        if event.fact is DocumentFact.SUBMITTED:
            self._open.begin(key, now=now)
        if event.fact not in _OUTCOMES:
            return
        self._tally.add(catalogue.DOCUMENTS, outcome=event.fact.value)
        took_s = self._open.end(key, now=now)
        if event.fact is DocumentFact.READY and took_s is not None:
            self._tally.observe(catalogue.DOCUMENT_SEARCHABLE, took_s)
        if event.fact is DocumentFact.FAILED:
            self._tally.add(catalogue.DOCUMENT_FAILURES, code=event.failure.code if event.failure else "unknown")
