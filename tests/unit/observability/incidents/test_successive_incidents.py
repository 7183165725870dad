"""Two incidents close together: a worker freezes, is repaired, and freezes again a minute later. Each has its own story."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.alerts import AlertEvent
from contracts.diagnoses import Cause, EpisodeView, Subject
from contracts.incidents import IncidentState, IncidentView, incident_id
from contracts.recovery import Verdict
from contracts.recovery_views import RecoveryEvent
from observability.incidents import Material, incident, incidents
from tests.support.repairs import FINGERPRINT, INCIDENT, alert, at, command, decision, episode, result, verification

SECOND = incident_id(FINGERPRINT, at(100))
SERVICE = {"alertname": "EmbedSlow", "severity": "warning", "service": "embed"}
SYSTEM = {"alertname": "QueriesSlow", "severity": "warning"}
RETRIEVE = Subject(component="retrieve", service="retrieve")
WAIT = {"alertname": "QuestionsWait", "severity": "warning", "service": "retrieve"}

FIRST_REPAIR: tuple[RecoveryEvent, ...] = (decision(), command(), result(), verification(seconds=60))
SECOND_REPAIR: tuple[RecoveryEvent, ...] = (
    decision(seconds=105, incident=SECOND),
    command(seconds=106, id="c-2", decision="d-act-105", incident=SECOND),
    result(seconds=109, id="c-2", decision="d-act-105", incident=SECOND),
    verification(seconds=150, command="c-2", incident=SECOND),
)
FIRST, AGAIN = episode(last=31, ended=31), episode(began=100, last=130, ended=130)


def stories(
    alerts: Sequence[AlertEvent],
    *more: EpisodeView,
    repairs: Sequence[RecoveryEvent] = (*FIRST_REPAIR, *SECOND_REPAIR),
    episodes: Sequence[EpisodeView] = (FIRST, AGAIN),
) -> tuple[IncidentView, IncidentView]:
    """The first incident and the second."""
    material = Material(alerts=alerts, episodes=(*episodes, *more), repairs=repairs)
    listed = incidents(material)
    assert [each.id for each in listed] == [SECOND, INCIDENT]
    second, first = (incident(material, each.id) for each in listed)
    assert first is not None
    assert second is not None
    assert [each.began_at for each in (second, first)] == [each.began_at for each in listed]
    return first, second


def lasting(starts: float, ends: float, labels: dict[str, str]) -> list[AlertEvent]:
    return [alert(starts=starts, labels=labels), alert(starts=starts, ends=ends, labels=labels)]


def seconds_of_alerts(told: IncidentView) -> list[float]:
    return [(entry.at - at(0)).total_seconds() for entry in told.timeline if entry.said.startswith("Alert")]


@pytest.mark.parametrize("labels", [SERVICE, SYSTEM])
class TestAlerts:
    def test_each_story_has_only_its_own(self, labels: dict[str, str]) -> None:
        first, second = stories([*lasting(0, 75, labels), *lasting(97, 140, labels)])

        assert seconds_of_alerts(first) == [0, 75]
        assert seconds_of_alerts(second) == [97, 140]

    def test_one_that_ended_before_the_second_began_is_of_the_first(self, labels: dict[str, str]) -> None:
        first, second = stories(lasting(65, 90, labels))

        assert (seconds_of_alerts(first), seconds_of_alerts(second)) == ([65, 90], [])

    def test_one_that_fires_through_both_is_of_the_one_that_it_began_in(self, labels: dict[str, str]) -> None:
        first, second = stories(lasting(20, 145, labels))

        assert (seconds_of_alerts(first), seconds_of_alerts(second)) == ([20, 145], [])

    def test_one_that_still_fires_is_of_the_one_that_it_began_in(self, labels: dict[str, str]) -> None:
        first, second = stories([alert(starts=97, labels=labels)])

        assert (seconds_of_alerts(first), seconds_of_alerts(second)) == ([], [97])


def test_the_second_begins_with_its_own_first_alert() -> None:
    first, second = stories([*lasting(-140, 75, SERVICE), *lasting(97, 140, SERVICE)])

    assert (first.began_at, second.began_at) == (at(-140), at(97))
    assert (first.detected_at, second.detected_at) == (at(-139), at(98))


def test_the_first_story_ends_with_its_recovery() -> None:
    first, second = stories([*lasting(0, 38, SERVICE), *lasting(97, 140, SERVICE)])

    assert first.timeline[-1].said == "Recovered: embed-1 has beaten for 20 s."
    assert second.timeline[0].said == "Alert EmbedSlow (warning) fires: embed-1 is silent."


def test_alone_an_incident_takes_what_lingers_after_it_and_what_led_to_it() -> None:
    material = Material(
        alerts=lasting(-300, -10, SERVICE) + lasting(65, 90, SERVICE), episodes=[FIRST], repairs=FIRST_REPAIR
    )

    told = incident(material, INCIDENT)

    assert told is not None
    assert seconds_of_alerts(told) == [-300, -10, 65, 90]


def test_two_at_the_same_time_share_what_is_of_both() -> None:
    other = episode(began=20, subject=Subject(component="index"), cause=Cause.BACKEND_CONNECTION_LOST)
    material = Material(alerts=lasting(0, 50, SYSTEM), episodes=[episode(), other])

    told = [incident(material, each.id) for each in incidents(material)]

    assert [each and seconds_of_alerts(each) for each in told] == [[0, 50], [0, 50]]


def test_another_trouble_that_follows_has_what_fires_on_through_it_too() -> None:
    other = episode(
        began=100, last=130, subject=Subject(component="embed", service="embed"), cause=Cause.BACKLOG_GROWING
    )
    material = Material(alerts=lasting(20, 145, SERVICE), episodes=[FIRST, other], repairs=FIRST_REPAIR)

    told = [incident(material, each.id) for each in incidents(material)]

    assert [each and seconds_of_alerts(each) for each in told] == [[20, 145], [20, 145]]


class TestCauses:
    @pytest.mark.parametrize("repairs", [FIRST_REPAIR, FIRST_REPAIR[:3], (decision(Verdict.WITHHELD, seconds=50),), ()])
    def test_one_that_nothing_was_decided_about_yet_is_an_incident_of_its_own(
        self, repairs: tuple[RecoveryEvent, ...]
    ) -> None:
        """Else the first goes on after its end with what was found of the second, until something is decided."""
        first, second = stories([], repairs=repairs, episodes=(FIRST, episode(began=100, last=105)))

        assert all("Found" not in entry.said for entry in first.timeline if entry.at > at(60))
        assert first.state in {IncidentState.RECOVERED, IncidentState.PASSED}
        assert second.state is IncidentState.FOUND

    def test_one_that_passed_by_itself_is_not_of_the_next_that_was_repaired(self) -> None:
        first, second = stories([], repairs=SECOND_REPAIR)

        assert (first.state, second.began_at) == (IncidentState.PASSED, at(100))

    def test_after_a_recovery_under_another_id_it_is_another_incident(self) -> None:
        repairs: list[RecoveryEvent] = [decision(incident="i-1"), verification(incident="i-1", seconds=60)]
        told = incidents(Material(episodes=[episode(began=100, last=105)], repairs=repairs))

        assert [each.id for each in told] == [SECOND, "i-1"]


class TestConsequences:
    def test_each_story_has_only_its_own(self) -> None:
        own = episode(
            began=20, last=60, ended=60, subject=RETRIEVE, cause=Cause.BACKLOG_GROWING, impacted_by=(FINGERPRINT,)
        )
        later = episode(began=110, subject=RETRIEVE, cause=Cause.BACKLOG_GROWING, impacted_by=(FINGERPRINT,))

        first, second = stories([], own, later)

        assert [entry.at for entry in first.timeline if "as a consequence" in entry.said] == [at(20)]
        assert [entry.at for entry in second.timeline if "as a consequence" in entry.said] == [at(110)]

    def test_one_through_both_is_told_in_the_first_and_its_alerts_where_they_began(self) -> None:
        both = episode(began=20, last=140, subject=RETRIEVE, cause=Cause.BACKLOG_GROWING, impacted_by=(FINGERPRINT,))

        first, second = stories([*lasting(22, 70, WAIT), *lasting(110, 139, WAIT)], both)

        assert [entry.at for entry in first.timeline if "as a consequence" in entry.said] == [at(20)]
        assert all("as a consequence" not in entry.said for entry in second.timeline)
        assert (seconds_of_alerts(first), seconds_of_alerts(second)) == ([22, 70], [110, 139])


@given(st.lists(st.tuples(st.integers(-700, 300), st.integers(0, 400), st.sampled_from((SERVICE, SYSTEM))), max_size=6))
def test_no_alert_that_an_incident_alone_would_have_is_lost_between_them(
    drawn: list[tuple[int, int, dict[str, str]]],
) -> None:
    alerts = [
        event
        for place, (starts, lasts, labels) in enumerate(drawn)
        for event in lasting(starts, starts + lasts, labels | {"alertname": f"A{place}"})
    ]
    alone = [
        incident(Material(alerts=alerts, episodes=[own], repairs=repairs), id)
        for own, repairs, id in ((FIRST, FIRST_REPAIR, INCIDENT), (AGAIN, SECOND_REPAIR, SECOND))
    ]

    of_first, of_second = (alerts_of(each) for each in stories(alerts))

    assert of_first | of_second == {id for each in alone if each for id in alerts_of(each)}
    assert of_first & of_second == set()


def alerts_of(told: IncidentView) -> set[str]:
    return {entry.id for entry in told.timeline if entry.said.startswith("Alert") and entry.id}
