"""Incidents out of alerts, diagnoses and the audit of repairs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import AlertEvent
from contracts.diagnoses import Cause, EpisodeView, RecommendedAction, Subject
from contracts.incidents import MOST_ENTRIES, MOST_INCIDENTS, EntryKind, IncidentState, IncidentView, incident_id
from contracts.recovery import CommandOutcome, RecoveryDecision, Safeguard, Target, TargetKind, Verdict, Verified
from contracts.recovery_views import RecoveryEvent
from observability.incidents import Material, incident, incidents
from observability.incidents.case import MOST_ALERTS
from tests.support.repairs import (
    FINGERPRINT,
    INCIDENT,
    LABELS,
    alert,
    approval,
    at,
    command,
    decision,
    episode,
    result,
    verification,
)


def found(
    *repairs: RecoveryEvent, episodes: Sequence[EpisodeView] | None = None, alerts: Sequence[AlertEvent] = ()
) -> list[IncidentView]:
    known = [episode()] if episodes is None else episodes
    return whole(Material(alerts=alerts, episodes=known, repairs=repairs))


def whole(material: Material) -> list[IncidentView]:
    """Every incident with its timeline; what the list says of it is the same."""
    found = []
    for summary in incidents(material):
        view = incident(material, summary.id)
        assert view is not None
        assert view.model_dump(exclude={"timeline", "left_out"}) == summary.model_dump()
        found.append(view)
    return found


def one(*repairs: RecoveryEvent, **more: Any) -> IncidentView:
    (only,) = found(*repairs, **more)
    return only


WHOLE = (
    alert(),
    alert(ends=38),
    episode(last=31, ended=31),
    decision(),
    command(),
    result(),
    verification(),
)


def of(things: Sequence[Any]) -> list[IncidentView]:
    alerts = [each for each in things if isinstance(each, AlertEvent)]
    episodes = [each for each in things if isinstance(each, EpisodeView)]
    repairs = [each for each in things if not isinstance(each, (AlertEvent, EpisodeView))]
    return whole(Material(alerts=alerts, episodes=episodes, repairs=repairs))


class TestTheStory:
    def test_it_is_told_from_the_alert_to_the_verification(self) -> None:
        (told,) = of(WHOLE)
        assert told.id == INCIDENT
        assert [(entry.kind, entry.said) for entry in told.timeline] == [
            (EntryKind.ALERT, "Alert InstanceDead (critical) fires: embed-1 is silent."),
            (
                EntryKind.DIAGNOSIS,
                "Found the cause: service unavailable of embed embed-1, 90 % sure: embed-1 has missed 3 heartbeats.",
            ),
            (EntryKind.DECISION, "Decided to restart embed-1: it is silent, and work waits for it."),
            (EntryKind.ACTION, "Ordered to restart embed-1, by 2026-01-31 12:00:41 UTC at the latest."),
            (EntryKind.RESULT, "Done: embed-1 was started again."),
            (EntryKind.DIAGNOSIS, "Found for the last time: service unavailable of embed embed-1."),
            (EntryKind.ALERT, "Alert InstanceDead is over."),
            (EntryKind.VERIFICATION, "Recovered: embed-1 has beaten for 20 s."),
        ]
        assert [entry.by for entry in told.timeline if entry.by] == ["observer-1"] * 2 + ["operator-1", "observer-1"]

    def test_it_has_the_times_that_repairs_are_measured_by(self) -> None:
        (told,) = of(WHOLE)
        assert (told.began_at, told.detected_at, told.acted_at, told.repaired_at, told.ended_at) == (
            at(0),
            at(1),
            at(12),
            at(40),
            at(40),
        )
        assert (told.state, told.next) == (IncidentState.RECOVERED, "Nothing: it is repaired.")
        assert told.actions == (RecommendedAction.RESTART_SERVICE,)

    def test_what_was_captured_and_the_evidence_are_in_it(self) -> None:
        (told,) = of(WHOLE)
        assert [entry.captured for entry in told.timeline if entry.captured] == ["the last line of its log"]
        assert {entry.kind for entry in told.timeline if entry.evidence} == {EntryKind.DIAGNOSIS, EntryKind.DECISION}

    @given(st.permutations([*WHOLE, *WHOLE]), st.integers(0, len(WHOLE)))
    def test_any_order_and_any_repeats_give_the_same(self, things: list[Any], again: int) -> None:
        assert of([*things, *things[:again]]) == of(WHOLE)

    @given(st.lists(st.sampled_from(WHOLE)))
    def test_whatever_is_missing_an_incident_is_told_of_the_rest(self, things: list[Any]) -> None:
        told = of(things)
        assert len(told) <= 1
        assert all(view.timeline and view.next and view.began_at <= view.detected_at for view in told)

    def test_what_is_not_there_is_not_shown(self) -> None:
        assert incident(Material(episodes=[episode()]), "i-9") is None

    def test_an_audit_alone_is_enough(self) -> None:
        told = one(decision(), command(), result(), verification(), episodes=[])
        assert (told.fingerprint, told.cause, told.subject) == (
            FINGERPRINT,
            Cause.SERVICE_UNAVAILABLE,
            "embed embed-1",
        )

    def test_a_diagnosis_alone_is_an_incident_that_nothing_was_decided_about(self) -> None:
        alone = one()
        assert (alone.id, alone.state) == (incident_id(FINGERPRINT, at(5)), IncidentState.FOUND)
        assert alone.next == "Nothing was decided about it yet."

    def test_one_that_went_away_by_itself_has_passed(self) -> None:
        gone = one(episodes=[episode(last=31, ended=31)])
        assert (gone.state, gone.ended_at, gone.repaired_at) == (IncidentState.PASSED, at(31), None)


STANDINGS: list[tuple[list[RecoveryEvent], IncidentState, str]] = [
    ([decision()], IncidentState.ACTING, "The order to restart embed-1 follows."),
    (
        [decision(), command()],
        IncidentState.ACTING,
        "The operator is to restart embed-1, by 2026-01-31 12:00:41 UTC at the latest.",
    ),
    ([decision(), command(), result()], IncidentState.ACTING, "It is looked at whether it helped."),
    (
        [decision(next_at=at(130)), command(), result()],
        IncidentState.ACTING,
        "It is looked at whether it helped; if it did not, the next step follows from 2026-01-31 12:02:10 UTC on.",
    ),
    (
        [decision(), command(), result(CommandOutcome.FAILED)],
        IncidentState.ACTING,
        "It could not be done, or not for sure: the next step is decided.",
    ),
    (
        [decision(next_at=at(60)), command(), result(), verification(Verified.NOT_RECOVERED)],
        IncidentState.ACTING,
        "It did not help, and the next step is decided: embed-1 has beaten for 20 s.",
    ),
    (
        [decision(Verdict.WITHHELD, next_at=at(300))],
        IncidentState.WITHHELD,
        "Held back by cooldown: it is decided anew from 2026-01-31 12:05:00 UTC on.",
    ),
    (
        [decision(Verdict.AWAIT_APPROVAL)],
        IncidentState.AWAITING_APPROVAL,
        (
            "A person is to say whether to restart embed-1: `waggle recovery approve d-await_approval-10` or "
            "`waggle recovery refuse d-await_approval-10`."
        ),
    ),
    (
        [decision(Verdict.AWAIT_APPROVAL), approval()],
        IncidentState.ACTING,
        "The order to restart embed-1 follows.",
    ),
    (
        [decision(Verdict.AWAIT_APPROVAL), approval(approved=False)],
        IncidentState.PERSON_CALLED,
        "ann said no: what else is done is a person's business, unless the system decides anew.",
    ),
    (
        [decision(Verdict.DRY_RUN)],
        IncidentState.WATCHED,
        "Nothing: the policy lets the system only say that it would restart embed-1.",
    ),
    ([decision(Verdict.OBSERVE)], IncidentState.WATCHED, "It is only watched: it is silent, and work waits for it."),
    (
        [decision(Verdict.CALL_PERSON)],
        IncidentState.PERSON_CALLED,
        "A person has to look: it is silent, and work waits for it.",
    ),
    ([verification(command=None)], IncidentState.RECOVERED, "Nothing: it is repaired."),
]


class TestWhereItStands:
    @pytest.mark.parametrize(("repairs", "state", "says"), STANDINGS)
    def test_the_newest_says_what_comes_next(
        self, repairs: list[RecoveryEvent], state: IncidentState, says: str
    ) -> None:
        told = one(*repairs)
        assert (told.state, told.next) == (state, says)

    def test_it_says_what_holds_it_and_until_when(self) -> None:
        held = one(decision(Verdict.WITHHELD, next_at=at(300)))
        assert (held.held_by, held.held_until, held.next_at) == (Safeguard.COOLDOWN, at(300), at(300))
        assert held.acted_at is None

    def test_of_one_moment_what_is_done_counts_and_not_what_stood_in_its_way(self) -> None:
        held = decision(Verdict.WITHHELD, action=RecommendedAction.CLEAR_CACHE)
        for repairs in ((held, decision(rung=1)), (decision(rung=1), held)):
            told = one(*repairs)
            assert told.state is IncidentState.ACTING
            lines = [entry.said for entry in told.timeline if entry.kind is EntryKind.DECISION]
            assert [line.split()[0] for line in lines] == ["Does", "Decided"]

    def test_what_is_decided_the_moment_that_nothing_helped_counts(self) -> None:
        first = (decision(), command(), result(), verification(Verified.NOT_RECOVERED))
        told = one(*first, decision(Verdict.CALL_PERSON, seconds=40))
        assert told.state is IncidentState.PERSON_CALLED
        assert [entry.kind for entry in told.timeline][-2:] == [EntryKind.VERIFICATION, EntryKind.DECISION]

    def test_it_waits_for_an_answer_whatever_is_told_of_other_targets(self) -> None:
        asked = decision(Verdict.AWAIT_APPROVAL)
        other = Target(kind=TargetKind.INSTANCE, name="embed-2", service="embed")
        assert one(asked, decision(Verdict.WITHHELD, seconds=20, target=other)).waits_for == asked.id
        assert one(asked, decision(Verdict.WITHHELD, seconds=20)).waits_for is None
        assert one(asked, decision(seconds=20, target=other)).waits_for is None

    def test_it_says_which_decision_waits(self) -> None:
        assert one(decision(Verdict.AWAIT_APPROVAL)).waits_for == "d-await_approval-10"
        assert one(decision(Verdict.AWAIT_APPROVAL), approval()).waits_for is None

    def test_the_first_answer_and_the_first_result_count(self) -> None:
        asked = decision(Verdict.AWAIT_APPROVAL)
        assert one(asked, approval(), approval(approved=False, seconds=21)).state is IncidentState.ACTING
        done = one(decision(), command(), result(), result(CommandOutcome.REFUSED, seconds=15))
        assert done.next == "It is looked at whether it helped."

    def test_what_was_decided_after_a_repair_makes_it_open_again(self) -> None:
        again = one(decision(), command(), result(), verification(), decision(Verdict.WITHHELD, seconds=50))
        assert (again.state, again.repaired_at, again.ended_at) == (IncidentState.WITHHELD, None, None)

    def test_a_refused_order_is_no_action(self) -> None:
        assert one(decision(), command(), result(CommandOutcome.REFUSED)).acted_at is None


class TestWhatBelongsTogether:
    def test_the_same_cause_on_another_day_is_another_incident(self) -> None:
        later = 86_400.0
        newest, oldest = found(episodes=[episode(last=31, ended=31), episode(began=later, last=later + 5)])
        assert (newest.began_at, oldest.began_at) == (at(later), at(5))

    def test_decisions_under_an_id_of_their_own_take_the_episode_of_their_cause(self) -> None:
        assert one(decision(incident="i-1"), episodes=[episode()]).id == "i-1"

    def test_a_consequence_is_told_with_its_root(self) -> None:
        victim = Subject(component="retrieve", service="retrieve")
        consequence = episode(subject=victim, cause=Cause.BACKLOG_GROWING, impacted_by=(FINGERPRINT,))
        alerts = [alert(labels={"alertname": "QuestionsWait", "severity": "warning", "service": "retrieve"}, starts=20)]
        told = one(episodes=[episode(), consequence], alerts=alerts)
        said = [entry.said for entry in told.timeline]
        assert (
            "Found as a consequence: backlog growing of retrieve, 90 % sure: embed-1 has missed 3 heartbeats." in said
        )
        assert "Alert QuestionsWait (warning) fires: embed-1 is silent." in said

    def test_a_consequence_whose_root_is_not_known_is_told_alone(self) -> None:
        assert one(episodes=[episode(impacted_by=("0" * 16,))]).id == incident_id(FINGERPRINT, at(5))

    @pytest.mark.parametrize(
        ("labels", "belongs"),
        [
            (LABELS, True),
            ({**LABELS, "instance": "embed-2"}, False),
            ({**LABELS, "service": "ingest"}, False),
            ({"alertname": "ServiceDown", "severity": "critical", "service": "embed"}, True),
            ({"alertname": "QueriesSlow", "severity": "warning"}, True),
            ({"alertname": "Watchdog", "severity": "none"}, False),
            ({"alertname": "BackendDown", "severity": "critical", "service": "embed", "backend": "index"}, False),
        ],
    )
    def test_alerts_belong_where_their_labels_say(self, labels: dict[str, str], belongs: bool) -> None:
        kinds = [entry.kind for entry in one(alerts=[alert(labels=labels)]).timeline]
        assert (EntryKind.ALERT in kinds) is belongs

    def test_an_alert_about_a_backend_is_of_whoever_lost_it(self) -> None:
        lost = episode(subject=Subject(component="index"), cause=Cause.BACKEND_CONNECTION_LOST)
        labels = {"alertname": "BackendDown", "severity": "critical", "service": "retrieve", "backend": "index"}
        assert one(episodes=[lost], alerts=[alert(labels=labels)]).timeline[0].kind is EntryKind.ALERT

    def test_an_alert_of_another_time_is_of_no_incident(self) -> None:
        ended = episode(last=31, ended=31)
        for starts in (-3600.0, 3600.0):
            assert len(one(episodes=[ended], alerts=[alert(starts=starts)]).timeline) == 2

    def test_an_answer_without_its_incident_is_found_by_its_decision(self) -> None:
        told = one(decision(Verdict.AWAIT_APPROVAL), approval(incident=None))
        assert EntryKind.APPROVAL in [entry.kind for entry in told.timeline]


class TestBounds:
    def test_the_newest_entries_are_kept(self) -> None:
        many = one(*(decision(Verdict.WITHHELD, seconds=10 + n) for n in range(MOST_ENTRIES + 9)))
        assert (len(many.timeline), many.left_out) == (MOST_ENTRIES, 10)
        assert many.timeline[-1].at == at(10 + MOST_ENTRIES + 8)

    def test_of_very_many_alerts_the_first_are_kept_and_the_others_counted(self) -> None:
        flapping = [alert(starts=n / 100) for n in range(MOST_ALERTS + 5)]
        told = one(alerts=flapping)
        assert (told.began_at, len(told.timeline) + told.left_out) == (at(0), MOST_ALERTS + 5 + 1)

    def test_the_newest_incidents_are_listed(self) -> None:
        days = [decision(incident=f"i-{n}", seconds=n) for n in range(MOST_INCIDENTS + 3)]
        told = incidents(Material(repairs=days))
        assert (len(told), told[0].id) == (MOST_INCIDENTS, f"i-{MOST_INCIDENTS + 2}")

    def test_one_is_found_however_many_came_after_it(self) -> None:
        days = [decision(incident=f"i-{n}", seconds=n) for n in range(MOST_INCIDENTS + 3)]
        assert incident(Material(repairs=days), "i-0") is not None


ACTIONS: list[tuple[RecoveryDecision, str]] = [
    (
        decision(
            action=RecommendedAction.ROLLBACK,
            target=Target(kind=TargetKind.CONFIG, name="runtime", service="retrieve"),
        ),
        "Decided to roll back the configuration",
    ),
    (
        decision(
            action=RecommendedAction.FAILOVER, target=Target(kind=TargetKind.BACKEND, name="index", service="retrieve")
        ),
        "Decided to fail over index",
    ),
    (
        decision(Verdict.WITHHELD, action=RecommendedAction.SCALE_UP, target=None),
        "Does not scale up what is not named, held back by cooldown",
    ),
]


@pytest.mark.parametrize(("made", "says"), ACTIONS)
def test_actions_are_said_in_words(made: RecoveryDecision, says: str) -> None:
    entry = next(each for each in one(made).timeline if each.kind is EntryKind.DECISION)
    assert entry.said.startswith(f"{says}: ")


def test_orders_say_what_exactly_is_ordered() -> None:
    service = Target(kind=TargetKind.SERVICE, name="embed", service="embed")
    scaling = command(action=RecommendedAction.SCALE_UP, target=service, replicas=3, expires_at=at(0) + timedelta(1))
    entry = next(each for each in one(decision(), scaling).timeline if each.kind is EntryKind.ACTION)
    assert entry.said == "Ordered to scale up embed to 3, by 2026-02-01 12:00:00 UTC at the latest."
