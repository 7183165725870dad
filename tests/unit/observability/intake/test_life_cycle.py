"""Facts are counted once, however often they are told, and times are those between their arrivals."""

from __future__ import annotations

from typing import Any

import pytest

from contracts import subjects
from contracts.documents import Failure
from contracts.events import DocumentEvent, DocumentFact, QueryEvent, QueryFact
from contracts.reconciliation import ReconcileEvent, Remedy
from observability.intake import tally as tally_module
from tests.support.fleets import Site


@pytest.fixture
def site() -> Site:
    site = Site()
    site.pass_(2)
    return site


def query(site: Site, fact: QueryFact, query_id: str = "q", **fields: Any) -> None:
    event = QueryEvent(id=f"query.t.{query_id}.{fact}", tenant="t", query_id=query_id, fact=fact, **fields)
    site.fact(subjects.query_event(fact, "t"), event)


def accept(site: Site, query_id: str = "q") -> None:
    """As the broker tells it: the headers of the question, without a body."""
    site.intake.event(subjects.query_event(QueryFact.ACCEPTED, "t"), {subjects.HEADER_QUERY_ID: query_id}, b"")


def document(site: Site, fact: DocumentFact, generation: str = "g", **fields: Any) -> None:
    event = DocumentEvent(
        id=f"document.t.d.{generation}.{fact}",
        tenant="t",
        document_id="d",
        generation=generation,
        version=1,
        fact=fact,
        **fields,
    )
    site.fact(subjects.document_event(fact, "t"), event)


def test_all_outcomes_are_there_from_the_start_as_nothing(site: Site) -> None:
    outcomes = {labels["outcome"]: value for labels, value in site.all("waggle_queries_total").items()}
    assert outcomes == {"answered": 0, "no_answer": 0, "failed": 0, "cancelled": 0}
    assert site.value("sum(waggle_documents_total)") == 0
    assert site.value("waggle_query_duration_seconds_count") == 0


def test_a_question_is_counted_and_timed_from_its_acceptance_on(site: Site) -> None:
    accept(site)
    site.now += 1.5
    query(site, QueryFact.RETRIEVED, passages=2, top_score=0.35, principal="alice")
    site.now += 1.5
    told: dict[str, Any] = {
        "answered": True,
        "citations": 2,
        "writing_s": 1.0,
        "cached": False,
        "prompt_tokens": 90,
        "completion_tokens": 30,
    }
    query(site, QueryFact.COMPLETED, **told)
    site.pass_(20)
    values = {
        "waggle_queries_accepted_total": 1, 'waggle_queries_total{outcome="answered"}': 1,
        "waggle_query_duration_seconds_sum": 3, 'waggle_query_duration_seconds_bucket{le="5.0"}': 1,
        'waggle_query_duration_seconds_bucket{le="2.0"}': 0, "waggle_query_time_to_first_token_seconds_sum": 2,
        "waggle_query_top_score_sum": 0.35, "waggle_answer_citations_sum": 2, "waggle_query_principals": 1,
        "waggle_query_zero_hits_total": 0, 'waggle_query_tokens_total{type="output"}': 30, "waggle_queries_cached_total": 0,
    }  # fmt: skip
    assert {name: site.value(name) for name in values} == pytest.approx(values)


def test_a_fact_that_is_told_again_counts_once(site: Site) -> None:
    for _ in range(3):
        accept(site)
        query(site, QueryFact.ACCEPTED)  # of a publisher that left the id out of the headers, told by its worker
        query(site, QueryFact.RETRIEVED, passages=0)
        query(site, QueryFact.FAILED, failure=Failure(code="deadline_exceeded", message="m"))
        document(site, DocumentFact.READY)
        site.pass_(10)
    names = ["waggle_queries_accepted_total", "waggle_query_zero_hits_total", 'waggle_queries_total{outcome="failed"}',
             'waggle_query_failures_total{code="deadline_exceeded"}', 'waggle_documents_total{outcome="ready"}',
             "waggle_query_duration_seconds_count"]  # fmt: skip
    assert {name: site.value(name) for name in names} == dict.fromkeys(names, 1)


def test_an_accepted_question_without_an_id_is_left_to_its_worker(site: Site) -> None:
    site.intake.event(subjects.query_event(QueryFact.ACCEPTED, "t"), {}, b"")
    query(site, QueryFact.ACCEPTED)
    site.pass_(10)
    assert site.value("waggle_queries_accepted_total") == 1
    assert sum(site.intake.malformed.counts.values()) == 0


@pytest.mark.parametrize(
    ("told", "outcome"),
    [
        ({"answered": False}, "no_answer"),
        ({"answered": None, "passages": 3}, "answered"),
        ({"answered": None, "passages": 0}, "no_answer"),
    ],
)
def test_a_search_counts_as_answered_if_it_found_something(site: Site, told: dict[str, Any], outcome: str) -> None:
    query(site, QueryFact.COMPLETED, **told)
    site.pass_(10)
    assert site.value(f'waggle_queries_total{{outcome="{outcome}"}}') == 1
    assert site.value("waggle_query_duration_seconds_count") == 0, "when it was accepted is not known"


def test_what_appears_later_appears_as_nothing_first(site: Site) -> None:
    """Otherwise no `increase` would see the first failure."""
    site.pass_(20)
    query(site, QueryFact.FAILED, failure=Failure(code="internal_error", message="m"))
    site.pass_(10)
    assert (site.value('increase(waggle_query_failures_total{code="internal_error"}[1m])') or 0) > 0


def test_askers_are_counted_over_five_minutes(site: Site) -> None:
    for name in ("alice", "bob", "alice"):
        query(site, QueryFact.RETRIEVED, f"{name}{site.now:.0f}", principal=name)
        site.pass_(10)
    assert site.value("waggle_query_principals") == 2
    site.pass_(310)
    assert site.value("waggle_query_principals") == 0


def test_a_document_is_timed_from_its_submission_until_it_can_be_found(site: Site) -> None:
    document(site, DocumentFact.SUBMITTED)
    document(site, DocumentFact.SUBMITTED, "h")
    site.now += 40
    document(site, DocumentFact.READY)
    document(site, DocumentFact.FAILED, "h", failure=Failure(code="empty_document", message="m"))
    site.pass_(10)
    assert site.value("waggle_document_searchable_seconds_sum") == 40
    assert site.value('waggle_documents_total{outcome="failed"}') == 1
    assert site.value('waggle_document_failures_total{code="empty_document"}') == 1


def test_remedies_are_counted(site: Site) -> None:
    event = ReconcileEvent(id="r", tenant="t", remedy=Remedy.PURGE, subject="s", reason="r", count=3)
    site.fact(subjects.reconcile_event(Remedy.PURGE, "t"), event)
    site.pass_(10)
    assert site.value('waggle_reconciled_total{remedy="purge"}') == 3


def test_a_flood_of_codes_is_counted_together(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tally_module, "MOST_SERIES", 10)
    for n in range(100):
        query(site, QueryFact.FAILED, f"q{n}", failure=Failure(code=f"c{n}", message="m"))
    site.pass_(10)
    assert site.value('waggle_query_failures_total{otel_metric_overflow="true"}') == 90
    assert site.value("sum(waggle_query_failures_total)") == 100


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-1e308", "1e308"])
def test_what_is_no_number_does_not_spoil_a_sum(site: Site, number: str) -> None:
    query(site, QueryFact.RETRIEVED, "a", top_score=0.5)
    event = QueryEvent(id="odd", tenant="t", query_id="b", fact=QueryFact.RETRIEVED, top_score=0.25)
    body = event.to_bytes().replace(b"0.25", number.encode())
    assert number.encode() in body
    site.intake.event(subjects.query_event(QueryFact.RETRIEVED, "t"), {}, body)
    site.pass_(10)
    assert site.value("waggle_query_top_score_sum") == 0.5
