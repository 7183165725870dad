"""Which alerts and which history are meant by the parameters of a question."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.alert_views import ActiveState, AlertView
from observability.alert_questions import USUAL_ENTRIES, AlertQuestion, HistoryKind, HistoryQuestion

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
LABELS = {"alertname": "InstanceDead", "severity": "critical", "service": "embed"}


def alert(state: str = "firing", **labels: str) -> AlertView:
    return AlertView(
        fingerprint="00000000000000aa", labels=LABELS | labels, state=ActiveState(state), since=NOW, rule="InstanceDead"
    )


@pytest.mark.parametrize(
    ("parameters", "expected"),
    [
        ({}, True),
        ({"state": ["firing"]}, True),
        ({"state": ["pending", "firing"]}, True),
        ({"state": ["pending"]}, False),
        ({"severity": ["critical", "warning"]}, True),
        ({"severity": ["none"]}, False),
        ({"fingerprint": ["00000000000000aa"]}, True),
        ({"fingerprint": ["00000000000000ab"]}, False),
        ({"filter": ['service=~"embed|retrieve"', "alertname!=Watchdog"]}, True),
        ({"filter": ['service=~"embed|retrieve"', "alertname=Watchdog"]}, False),
    ],
)
def test_an_alert_is_meant_when_all_that_is_said_holds(parameters: dict[str, list[str]], expected: bool) -> None:
    assert AlertQuestion.of(parameters).accepts(alert()) is expected


def test_an_alert_without_a_severity_is_asked_for_as_none() -> None:
    assert AlertQuestion.of({"severity": ["none"]}).accepts(alert(severity="")) is False
    bare = alert().model_copy(update={"labels": {"alertname": "X"}})
    assert AlertQuestion.of({"severity": ["none"]}).accepts(bare)


def test_history_without_parameters_is_that_of_the_alerts_of_a_day() -> None:
    question = HistoryQuestion.of({})
    assert (question.kind, question.end, question.cursor, question.limit) == (HistoryKind.ALERT, None, 0, USUAL_ENTRIES)
    assert question.since(NOW) == NOW - timedelta(days=1)


def test_times_are_taken_as_prometheus_takes_them() -> None:
    question = HistoryQuestion.of({"start": ["2026-01-31T12:00:00Z"], "end": [str(NOW.timestamp() + 60)]})
    assert (question.start, question.end) == (NOW, NOW + timedelta(seconds=60))
    assert question.since(NOW) == NOW
    assert HistoryQuestion.of({"end": ["2026-01-31T12:00:00Z"]}).since(NOW) == NOW - timedelta(days=1)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"state": ["sad"]}, "state: 'sad' is none of inactive, pending, firing, resolved"),
        ({"filter": ["severity"]}, "filter: .*is not a matcher"),
        ({"filter": ['a=~"("']}, "filter: .*not a valid regular expression"),
    ],
)
def test_what_is_wrong_in_a_question_about_alerts_is_named(parameters: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        AlertQuestion.of(parameters)


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"start": ["yesterday"]}, "start: 'yesterday' is no time such as"),
        ({"start": ["2026-01-31T12:00:00"]}, "no time zone"),
        ({"start": ["NaN"]}, "start: 'NaN' is no time"),
        ({"start": ["1e99"]}, "start: '1e99' is no time"),
        ({"start": ["2"], "end": ["1"]}, "end: is before start"),
        ({"kind": ["mail"]}, "kind: 'mail' is none of alert, notification"),
        ({"limit": ["0"]}, "limit: '0' is no number from 1 to 500"),
        ({"limit": ["٣"]}, "limit"),
        ({"channel": ["ops"]}, "channel: has no meaning for the history of alerts"),
        ({"kind": ["notification"], "severity": ["info"]}, "severity: has no meaning for the history of notifications"),
        ({"kind": ["notification"], "channel": ["a.>"]}, "channel: 'a.>' is no name"),
        ({"cursor": ["-1"]}, "cursor: '-1' is no number from 0"),
    ],
)
def test_what_is_wrong_in_a_question_about_history_is_named(parameters: dict[str, list[str]], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        HistoryQuestion.of(parameters)
