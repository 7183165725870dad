"""Alerts, silences and what they refuse to be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from contracts import subjects
from contracts.alerts import MAX_LABELS, MAX_LABELS_BYTES, AlertEvent, AlertState, fingerprint
from contracts.identifiers import TOKEN
from contracts.silences import LabelMatcher, MatchOperator, Silence

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take its time."""

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def alert(**labels: str) -> AlertEvent:
    return AlertEvent.of({"alertname": "Down", **labels}, starts_at=NOW)


def test_an_alert_survives_its_journey() -> None:
    told = AlertEvent.of(
        {"alertname": "Down", "service": "嵌入"}, starts_at=NOW, ends_at=NOW, annotations={"summary": ""}, value=1.5
    )

    assert AlertEvent.from_bytes(told.to_bytes()) == told
    assert told.state is AlertState.RESOLVED


def test_the_fingerprint_is_prometheus_own() -> None:
    """As `model.LabelSet.Fingerprint` of prometheus/common computes it; of no labels it is the offset of FNV-1a."""
    assert fingerprint({}) == "cbf29ce484222325"
    assert fingerprint({"b": "2", "a": "1"}) == fingerprint({"a": "1", "b": "2"})
    assert fingerprint({"a": "b", "c": "d"}) != fingerprint({"a": "bc", "": "d"})


def test_an_empty_label_is_none() -> None:
    assert alert(service="").labels == {"alertname": "Down"}


@pytest.mark.parametrize(
    "change",
    [
        {"labels": {"service": "x"}},
        {"labels": {"alertname": "Down", "a-b": "x"}},
        {"labels": {"alertname": "Down", "a": "x" * 2000}},
        {"labels": {"alertname": "Down", "a": "\x00"}},
        {"labels": {"alertname": "Other"}},
        {"fingerprint": "0" * 16},
        {"state": "resolved"},
        {"ends_at": NOW.isoformat()},
        {"state": "resolved", "ends_at": (NOW - timedelta(seconds=1)).isoformat()},
        {"value": float("nan")},
        {"value": float("inf")},
        {"starts_at": "2026-06-01T00:00:00"},
        {"annotations": {"a": "x" * 10_000}},
        {"annotations": {f"a{n}": "x" * 8000 for n in range(5)}},
        {"surprise": 1},
    ],
)
def test_what_contradicts_itself_or_is_too_large_is_no_alert(change: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertEvent.model_validate(alert().model_dump(mode="json") | change)


def test_labels_are_bounded_in_number_and_size() -> None:
    with pytest.raises(ValidationError):
        alert(**{f"l{n}": "x" for n in range(MAX_LABELS)})
    with pytest.raises(ValidationError, match=str(MAX_LABELS_BYTES)):
        alert(**{f"l{n}": "x" * 1000 for n in range(20)})


@RELAXED
@given(name=st.text(min_size=1, max_size=1000), severity=st.text(max_size=300))
def test_every_alert_has_a_subject(name: str, severity: str) -> None:
    try:
        told = AlertEvent.of({"alertname": name, "severity": severity}, starts_at=NOW)
    except ValidationError:
        return
    rag, alerts, *tokens = subjects.alert(told).split(".")

    assert (rag, alerts) == ("rag", "alerts")
    assert len(tokens) == 2
    assert all(TOKEN.fullmatch(token) for token in tokens)


def test_a_silence_ends_and_has_matchers() -> None:
    matcher = LabelMatcher(name="a", operator=MatchOperator.EQUAL, value="b")
    whole: dict[str, Any] = {"id": "s", "matchers": (matcher,), "starts_at": NOW, "ends_at": NOW + timedelta(hours=1)}

    assert Silence.from_bytes(Silence(**whole).to_bytes()).matchers == (matcher,)
    for change in ({"ends_at": NOW}, {"matchers": ()}, {"id": "a.b"}):
        with pytest.raises(ValidationError):
            Silence(**whole | change)
