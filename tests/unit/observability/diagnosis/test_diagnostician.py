"""All causes together: the root is named before its victims, a healthy fleet has none, and the past can be asked."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.diagnoses import Cause, Evidence, RecommendedAction, Subject
from observability.diagnosis import DETECTORS, Diagnostician, Finding, Graph, Signals
from observability.diagnosis.combining import EXPLAINS, ORDER
from observability.diagnosis.signals import moment
from observability.promql import EvaluationError
from tests.unit.observability.diagnosis.finding import causes, diagnosed, of
from tests.unit.observability.diagnosis.recordings import STAGES, Recording, from_s, healthy, work

FROM_S = 3600 - 330


class Needs:
    """A graph as a table."""

    def __init__(self, table: Mapping[str, tuple[str, ...]]) -> None:
        self._table = table

    def needs(self, component: str) -> tuple[str, ...]:
        return self._table.get(component, ())


def index_down() -> Recording:
    """The index is away: searches take until they are given up, questions fail, and work waits."""
    made = healthy()
    for service in ("retrieve", "embed"):
        for number in (1, 2):
            who = {"service": service, "instance": f"{service}-{number}", "backend": "index"}
            made.beat("waggle_backend_up", from_s(FROM_S, 1, 0), **who)
    who = {"service": "retrieve", "instance": "retrieve-1", "waggle_stage": "search"}
    made.histogram("waggle_query_stage_duration_seconds", 5.0, from_s(FROM_S, STAGES["search"][1], 9.0), **who)
    made.histogram("waggle_query_duration_seconds", 5.0, from_s(FROM_S, 1.1, 9.8))
    made.counter("waggle_queries_total", from_s(FROM_S, 0.0, 3.0), outcome="failed")
    made.counter("waggle_query_failures_total", from_s(FROM_S, 0.0, 3.0), code="retrieval_failed")
    made.gauge(
        "waggle_consumer_pending",
        lambda t: (t > FROM_S - 270) * (t - FROM_S + 270) * 3,
        stream="EMBED",
        consumer="embed",
    )
    for instance in ("embed-1", "embed-2"):
        work(made, "embed", instance, from_s(FROM_S, 1.0, 0.05), 0.3)
    return made


def test_what_a_root_has_brought_about_is_its_consequence_for_a_while_after_it() -> None:
    made, back_s = index_down(), 3600 - 30
    for service in ("retrieve", "embed"):
        for number in (1, 2):
            who = {"service": service, "instance": f"{service}-{number}", "backend": "index"}
            made.beat("waggle_backend_up", lambda t: 1.0 - ((t > FROM_S) & (t < back_s)), **who)
    source, now_ms = made.source(), [round(1000 * (back_s - 5))]
    watching = Diagnostician(source, now_ms=lambda: now_ms[0])
    (root,) = [item for item in watching.now().items if item.is_root]
    now_ms[0] = made.end_ms

    after, seen_first_now = watching.now(), Diagnostician(source, now_ms=lambda: made.end_ms).now()

    assert root.cause is Cause.BACKEND_CONNECTION_LOST
    assert Cause.BACKEND_CONNECTION_LOST not in {item.cause for item in after.items}
    assert of(after, Cause.HIGH_RESPONSE_TIME).impacted_by == (root.fingerprint,)
    assert of(seen_first_now, Cause.HIGH_RESPONSE_TIME).is_root


def test_of_a_lost_index_and_all_that_it_brings_the_index_is_the_root() -> None:
    view = diagnosed(index_down())

    assert view.unjudged == ()
    assert causes(view)[0] == (Cause.BACKEND_CONNECTION_LOST, "index")
    root, *others = view.items
    assert {item.cause for item in others} >= {Cause.HIGH_RESPONSE_TIME, Cause.HIGH_ERROR_RATE, Cause.BACKLOG_GROWING}
    assert root.is_root
    assert root.actions == (RecommendedAction.RESTART_SERVICE, RecommendedAction.FAILOVER)
    for item in others:
        assert (item.impacted_by, item.actions) == ((root.fingerprint,), ())


def test_without_needs_the_same_symptoms_are_roots_of_their_own() -> None:
    made = index_down()
    alone = Diagnostician(made.source(), now_ms=lambda: made.end_ms, graph_at=lambda _: Needs({})).now()

    assert of(alone, Cause.HIGH_ERROR_RATE).impacted_by != (of(alone, Cause.BACKEND_CONNECTION_LOST).fingerprint,)
    assert of(alone, Cause.HIGH_RESPONSE_TIME).is_root


def test_a_dead_service_explains_its_own_backlog_and_that_of_whoever_fills_its_queue() -> None:
    made = healthy()
    for instance in ("embed-1", "embed-2"):
        made.beat("waggle_up", from_s(3000, 1, 0), service="embed", instance=instance)
        work(made, "embed", instance, from_s(3000, 1.0, 0.0), 0.3)
    made.beat("waggle_service_alive", from_s(3000, 2, 0), service="embed")
    for consumer, stream in (("embed", "EMBED"), ("ingest", "INGEST"), ("retrieve", "QUERY")):
        made.gauge("waggle_consumer_pending", lambda t: (t > 3000) * (t - 3000) * 3.0, stream=stream, consumer=consumer)

    view = diagnosed(made)

    dead = of(view, Cause.SERVICE_UNAVAILABLE)
    grown = {item.subject.consumer: item.impacted_by for item in view.items if item.cause is Cause.BACKLOG_GROWING}
    assert grown == {"embed": (dead.fingerprint,), "ingest": (dead.fingerprint,), "retrieve": ()}


def finding(cause: Cause, component: str, confidence: float = 0.9) -> Finding:
    seen = Evidence(what="seen", at=moment(0))
    subject = Subject(component=component)
    return Finding(cause=cause, subject=subject, summary=".", confidence=confidence, evidence=(seen,))


class Finds:
    """Finds what it is given."""

    cause = Cause.DISK_FILLING

    def __init__(self, *findings: Finding) -> None:
        self.findings = list(findings)

    def find(self, _: Signals) -> list[Finding]:
        return list(self.findings)


class Fails(Finds):
    def find(self, _: Signals) -> list[Finding]:
        raise EvaluationError("many-to-many")


def combined(graph: Graph, *findings: Finding) -> dict[tuple[Cause, str], tuple[str, ...]]:
    empty = healthy(minutes=1).source()
    view = Diagnostician(empty, now_ms=lambda: 60_000, detectors=[Finds(*findings)], graph_at=lambda _: graph).now()
    names = {item.fingerprint: item.subject.component for item in view.items}
    return {(i.cause, i.subject.component): tuple(names[each] for each in i.impacted_by) for i in view.items}


def test_a_chain_of_needs_ends_at_its_last_failing_part() -> None:
    graph = Needs(
        {"gateway": ("ledger", "retrieve"), "retrieve": ("index",), "index": ("broker",), "ledger": ("broker",)}
    )
    lost = Cause.BACKEND_CONNECTION_LOST

    assert combined(
        graph, finding(lost, "broker"), finding(lost, "index"), finding(Cause.HIGH_ERROR_RATE, "gateway")
    ) == {(lost, "broker"): (), (lost, "index"): ("broker",), (Cause.HIGH_ERROR_RATE, "gateway"): ("broker",)}


def test_who_need_each_other_are_not_both_victims() -> None:
    graph = Needs({"a": ("b",), "b": ("a",)})
    lost = Cause.BACKEND_CONNECTION_LOST

    found = combined(graph, finding(lost, "a"), finding(lost, "b"))

    assert sorted(map(len, found.values())) == [0, 1]


def test_what_is_hardly_sure_explains_nothing() -> None:
    graph = Needs({"gateway": ("index",)})
    lost, errors = Cause.BACKEND_CONNECTION_LOST, Cause.HIGH_ERROR_RATE

    assert combined(graph, finding(lost, "index", 0.3), finding(errors, "gateway"))[errors, "gateway"] == ()
    assert combined(graph, finding(lost, "index", 0.5), finding(errors, "gateway"))[errors, "gateway"] == ("index",)


def test_a_leak_is_nobodys_consequence() -> None:
    assert (
        combined(
            Needs({"embed": ("index",)}),
            finding(Cause.BACKEND_CONNECTION_LOST, "index"),
            finding(Cause.MEMORY_LEAK, "embed"),
        )[Cause.MEMORY_LEAK, "embed"]
        == ()
    )


def test_what_is_known_of_symptoms_is_forgotten_when_needs_change() -> None:
    graph = Needs({})
    detector = Finds(finding(Cause.BACKEND_CONNECTION_LOST, "index"), finding(Cause.HIGH_ERROR_RATE, "gateway"))
    diagnostician = Diagnostician(
        healthy(minutes=1).source(),
        now_ms=lambda: 60_000,
        detectors=[detector],
        graph_at=lambda _: graph,
        most_cached=1,
    )
    assert [item.is_root for item in diagnostician.now().items] == [True, True]
    graph = Needs({"gateway": ("index",)})
    assert [item.is_root for item in diagnostician.now().items] == [True, False]
    assert [item.is_root for item in diagnostician.now().items] == [True, False]


def test_a_cause_that_cannot_be_looked_for_is_told_and_the_others_are_looked_for() -> None:
    detectors = [Fails(), Finds(finding(Cause.MEMORY_LEAK, "embed"))]
    view = Diagnostician(healthy(minutes=1).source(), now_ms=lambda: 60_000, detectors=detectors).now()

    assert (view.unjudged, causes(view)) == ((Cause.DISK_FILLING,), [(Cause.MEMORY_LEAK, "embed")])


def test_roots_come_first_then_the_surer() -> None:
    view = Diagnostician(
        healthy(minutes=1).source(),
        now_ms=lambda: 60_000,
        detectors=[
            Finds(
                finding(Cause.HIGH_ERROR_RATE, "gateway", 0.99),
                finding(Cause.MEMORY_LEAK, "embed", 0.5),
                finding(Cause.BACKEND_CONNECTION_LOST, "index", 0.7),
            )
        ],
        graph_at=lambda _: Needs({"gateway": ("index",)}),
    ).now()

    assert [item.subject.component for item in view.items] == ["index", "embed", "gateway"]


def test_the_past_can_be_asked_and_the_same_trouble_has_the_same_fingerprint() -> None:
    made = index_down()
    made.beat("waggle_backend_up", 1.0, service="ingest", instance="ingest-1", backend="uploads")
    diagnostician = Diagnostician(made.source(), now_ms=lambda: made.end_ms)

    before, later = diagnostician.at(round((FROM_S - 60) * 1000)), diagnostician.at(made.end_ms - 60_000)

    assert before.items == ()
    assert later.items[0].fingerprint == diagnostician.now().items[0].fingerprint
    assert later.at.timestamp() == made.end_ms / 1000 - 60


def test_long_ago_one_sample_a_minute_is_recent() -> None:
    made = index_down()
    for series, (times, values) in made.series.items():
        step = 20 if len(times) > 500 else 6
        made.series[series] = times[4::step], values[4::step]
    source = made.source()
    now_ms = made.end_ms + 4 * 3_600_000

    view = Diagnostician(source, now_ms=lambda: now_ms).at(made.end_ms)

    assert causes(view)[0] == (Cause.BACKEND_CONNECTION_LOST, "index")
    assert Diagnostician(source, now_ms=lambda: now_ms).now().items == ()


def test_of_a_time_of_which_nothing_is_known_nothing_is_said() -> None:
    made = index_down()

    assert Diagnostician(made.source(), now_ms=lambda: made.end_ms).at(-3_600_000).items == ()


def test_all_causes_are_looked_for_and_have_a_place() -> None:
    assert {detector.cause for detector in DETECTORS} == set(Cause)
    assert sorted(ORDER) == sorted(Cause)
    assert EXPLAINS.keys() <= set(Cause)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10_000), noise=st.sampled_from([0.0, 0.02, 0.1, 0.3, 0.5]), minutes=st.sampled_from([5, 20, 60])
)
def test_on_a_healthy_fleet_no_cause_is_named_whatever_the_noise(seed: int, noise: float, minutes: float) -> None:
    view = diagnosed(healthy(minutes=minutes, seed=seed, noise=noise))

    assert causes(view) == []
    assert view.unjudged == ()


@pytest.mark.parametrize("seed", range(3))
def test_in_noise_the_root_is_still_found(seed: int) -> None:
    made = healthy(seed=seed, noise=0.2)
    for series, samples in index_down().series.items():
        if series.metric_name == "waggle_backend_up":
            made.series[series] = samples

    assert causes(diagnosed(made)) == [(Cause.BACKEND_CONNECTION_LOST, "index")]


def test_of_a_time_of_which_nothing_is_known_no_cause_is_judged() -> None:
    made = healthy()
    diagnostician = Diagnostician(made.source(), now_ms=lambda: made.end_ms)

    before, now = diagnostician.at(-24 * 3_600_000), diagnostician.now()

    assert (before.items, set(before.unjudged)) == ((), set(Cause))
    assert now.unjudged == ()
