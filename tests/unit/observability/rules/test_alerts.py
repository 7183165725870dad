"""The life of an alert."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from observability.promql import Labels
from observability.rules.alerts import RESOLVED_KEPT_MS, AlertState, Observation, RuleAlerts

A = Labels({"alertname": "Slow", "job": "embed"})
B = Labels({"alertname": "Slow", "job": "gateway"})
SEEN = Observation({"summary": "slow"}, 3.0)


def states(alerts: RuleAlerts) -> dict[str, str]:
    return {alert.labels["job"]: str(alert.state) for alert in alerts.alerts}


def watch(alerts: RuleAlerts, truth: str, *, step_ms: int = 10, start_ms: int = 0) -> list[str]:
    """One evaluation for each letter, `x` where the expression is true; the state after each."""
    watched = []
    for number, letter in enumerate(truth):
        alerts.observe({A: SEEN} if letter == "x" else {}, at_ms=start_ms + number * step_ms)
        watched.append(states(alerts).get("embed", "-")[0])
    return watched


def test_it_is_pending_until_it_was_true_for_long_enough() -> None:
    assert watch(RuleAlerts(hold_ms=20), "xxxx") == ["p", "p", "f", "f"]


def test_without_a_time_to_wait_it_fires_at_once() -> None:
    assert watch(RuleAlerts(), "x-") == ["f", "r"]


def test_a_break_starts_the_wait_anew() -> None:
    assert watch(RuleAlerts(hold_ms=20), "xx-xxx") == ["p", "p", "-", "p", "p", "f"]


def test_it_keeps_firing_for_a_while_after_its_end() -> None:
    assert watch(RuleAlerts(keep_firing_ms=20), "x---") == ["f", "f", "f", "r"]


def test_being_true_again_starts_that_while_anew() -> None:
    assert watch(RuleAlerts(keep_firing_ms=20), "x-x---") == ["f", "f", "f", "f", "f", "r"]


def test_flapping_within_that_while_is_one_alert() -> None:
    alerts = RuleAlerts(keep_firing_ms=30)
    changes = [
        (change.before, change.alert.state)
        for number, letter in enumerate("x--x-x--x-----")
        for change in alerts.observe({A: SEEN} if letter == "x" else {}, at_ms=number * 10)
    ]

    assert changes == [(None, AlertState.FIRING), (AlertState.FIRING, AlertState.RESOLVED)]


def test_a_resolved_alert_is_remembered_for_fifteen_minutes() -> None:
    alerts = RuleAlerts()
    alerts.observe({A: SEEN}, at_ms=0)
    alerts.observe({}, at_ms=10)

    alerts.observe({}, at_ms=10 + RESOLVED_KEPT_MS)
    assert states(alerts) == {"embed": "resolved"}
    alerts.observe({}, at_ms=11 + RESOLVED_KEPT_MS)
    assert states(alerts) == {}


def test_one_that_comes_again_is_a_new_one() -> None:
    alerts = RuleAlerts(hold_ms=10)
    assert watch(alerts, "xx-x") == ["p", "f", "r", "p"]
    assert alerts.active[0].active_at_ms == 30


def test_value_and_words_are_those_of_the_last_evaluation() -> None:
    alerts = RuleAlerts()
    alerts.observe({A: SEEN}, at_ms=0)
    alerts.observe({A: Observation({"summary": "slower"}, 9.0)}, at_ms=10)

    (alert,) = alerts.active
    assert (alert.value, alert.annotations, alert.active_at_ms, alert.fired_at_ms) == (9.0, {"summary": "slower"}, 0, 0)


def test_each_label_set_has_a_life_of_its_own() -> None:
    alerts = RuleAlerts(hold_ms=10)
    alerts.observe({A: SEEN}, at_ms=0)
    alerts.observe({A: SEEN, B: SEEN}, at_ms=10)

    assert states(alerts) == {"embed": "firing", "gateway": "pending"}


def test_only_changes_are_told() -> None:
    alerts = RuleAlerts(hold_ms=10)

    told = [
        [(change.before, change.alert.state, change.ended) for change in alerts.observe(found, at_ms=number * 10)]
        for number, found in enumerate([{A: SEEN}, {A: SEEN, B: SEEN}, {A: SEEN}, {}, {}])
    ]

    pending, firing, resolved = AlertState.PENDING, AlertState.FIRING, AlertState.RESOLVED
    assert told == [
        [(None, pending, False)],
        [(pending, firing, False), (None, pending, False)],
        [(pending, pending, True)],
        [(firing, resolved, False)],
        [],
    ]


def test_its_series_tell_state_and_since_when() -> None:
    alerts = RuleAlerts(hold_ms=5000)
    alerts.observe({A: SEEN}, at_ms=7000)

    assert [(str(labels), value) for labels, value in alerts.samples()] == [
        ('ALERTS{alertname="Slow", alertstate="pending", job="embed"}', 1),
        ('ALERTS_FOR_STATE{alertname="Slow", job="embed"}', 7),
    ]


def test_a_pause_of_the_process_does_not_count() -> None:
    pending = RuleAlerts(hold_ms=30)
    watch(pending, "xx")

    pending = pending.moved(by_ms=1000)

    assert watch(pending, "xxx", start_ms=1010) == ["p", "p", "f"]


def test_a_pause_does_not_count_into_keeping_it_firing_either() -> None:
    alerts = RuleAlerts(keep_firing_ms=30)
    watch(alerts, "x-")

    alerts = alerts.moved(by_ms=1000)

    assert watch(alerts, "---", start_ms=1020) == ["f", "f", "r"]


def test_clearing_tells_that_what_fired_is_resolved() -> None:
    alerts = RuleAlerts(hold_ms=10)
    alerts.observe({A: SEEN}, at_ms=0)
    alerts.observe({A: SEEN, B: SEEN}, at_ms=10)

    told = alerts.clear(at_ms=20)

    assert [(change.alert.labels["job"], str(change.alert.state)) for change in told] == [
        ("embed", "resolved"),
        ("gateway", "pending"),
    ]
    assert alerts.alerts == []


@pytest.mark.parametrize("keep_firing_ms", [0, 20])
@settings(deadline=None)
@given(truth=st.text(alphabet="x-", max_size=40), hold_steps=st.integers(0, 4))
def test_it_fires_exactly_when_it_was_true_without_a_break(keep_firing_ms: int, truth: str, hold_steps: int) -> None:
    watched = watch(RuleAlerts(hold_ms=hold_steps * 10, keep_firing_ms=keep_firing_ms), truth)

    unbroken, fired, missed = 0, False, 0
    for letter, state in zip(truth, watched, strict=True):
        unbroken, missed = (unbroken + 1, 0) if letter == "x" else (0, missed + 1)
        kept = fired and (letter == "x" or (missed - 1) * 10 < keep_firing_ms)
        fired = kept or unbroken > hold_steps
        assert (state == "f") == fired
