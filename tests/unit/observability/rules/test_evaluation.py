"""Groups of rules, evaluated."""

from __future__ import annotations

import pytest

from observability.promql import Labels, MemorySeries
from observability.promql import parse as parse_expression
from observability.rules import AlertState, External, GroupEvaluator, GroupState, LimitExceededError, parse

STEP_MS = 10_000


class House:
    """Series, a clock, and the evaluator of the one group of a file."""

    def __init__(self, rules: str, *, external: External | None = None) -> None:
        self.now_ms = 0
        self.series = MemorySeries()
        (self.group,) = parse(rules, file="rules.yml")
        self.external = external
        self.evaluator = self.started()

    def started(self) -> GroupEvaluator:
        """As after a restart: the series are there, the state is not."""
        return GroupEvaluator(
            self.group, source=self.series, sink=self.series, now_ms=lambda: self.now_ms, external=self.external
        )

    def measured(self, **values: float) -> None:
        for name, value in values.items():
            metric, _, job = name.partition("__")
            self.series.append(Labels({"__name__": metric, "job": job}), time_ms=self.now_ms, value=value)

    def evaluated(self, **values: float) -> list[str]:
        """The next evaluation, after new samples; what changed."""
        self.now_ms += STEP_MS
        self.measured(**values)
        return [
            f"{change.alert.labels['alertname']} {change.alert.state}"
            for change in self.evaluator.evaluate().transitions
        ]

    def now(self, expression: str) -> dict[str, float]:
        found = parse_expression(expression).instant(self.series, at_ms=self.now_ms)
        return {str(labels): value for labels, value in found.samples}


def alert(expr: str, *, more: str = "", group: str = "") -> str:
    return f"groups:\n- name: g\n{group}  rules:\n  - alert: A\n    expr: {expr}\n{more}"


def test_a_rule_sees_what_one_before_it_recorded() -> None:
    house = House(
        "groups:\n- name: g\n  rules:\n"
        "  - {record: 'job:load:sum', expr: 'sum by (job) (load)', labels: {made: here}}\n"
        "  - {alert: A, expr: 'job:load:sum > 5'}\n"
    )

    assert house.evaluated(load__a=3, load__b=7) == ["A firing"]
    assert house.now('{__name__="job:load:sum"}') == {
        'job:load:sum{job="a", made="here"}': 3,
        'job:load:sum{job="b", made="here"}': 7,
    }
    assert list(house.now("ALERTS")) == ['ALERTS{alertname="A", alertstate="firing", job="b", made="here"}']


def test_a_series_that_is_recorded_no_more_has_ended() -> None:
    house = House("groups:\n- name: g\n  rules:\n  - {record: hot, expr: 'load > 5'}\n")

    house.evaluated(load__a=7)
    assert house.now("hot") == {'hot{job="a"}': 7}
    house.evaluated(load__a=1)
    assert house.now("hot") == {}


def test_the_series_of_a_state_ends_with_it() -> None:
    house = House(alert("load > 5", more="    for: 10s\n"))

    house.evaluated(load__a=7)
    assert list(house.now("ALERTS")) == ['ALERTS{alertname="A", alertstate="pending", job="a"}']
    house.evaluated(load__a=7)
    assert list(house.now("ALERTS")) == ['ALERTS{alertname="A", alertstate="firing", job="a"}']
    house.evaluated(load__a=0)
    assert house.now("ALERTS") == house.now("ALERTS_FOR_STATE") == {}


def test_an_evaluation_that_fails_changes_nothing_and_is_counted() -> None:
    house = House(
        "groups:\n- name: g\n  rules:\n"
        "  - {alert: A, expr: 'load * on (job) limit > 5', for: 20s}\n"
        "  - {record: after, expr: 'sum(load)'}\n"
    )
    house.measured(limit__a=1)
    house.series.append(Labels({"__name__": "limit", "job": "a", "zone": "z"}), time_ms=30_000, value=1)
    assert house.evaluated(load__a=7) == ["A pending"]

    house.now_ms = 2 * STEP_MS
    house.evaluated(load__a=7)  # now the limit is there twice
    (failure,) = house.evaluator.evaluate().failures

    assert "many-to-many" in str(failure.error)
    assert [str(a.state) for _, alerts in house.evaluator.alerts() for a in alerts.alerts] == ["pending"]
    assert list(house.now("ALERTS")) == ['ALERTS{alertname="A", alertstate="pending", job="a"}']
    assert house.now("after") == {"after": 7}, "the rules after it are evaluated"
    assert (house.evaluator.evaluations, house.evaluator.failures) == (6, 2)


def test_no_data_resolves() -> None:
    house = House(alert("load > 5"))
    house.evaluated(load__a=7)

    house.now_ms += 5 * 60_000

    assert house.evaluated() == ["A resolved"]


def test_labels_and_words_are_filled_in() -> None:
    more = (
        "    labels: {who: 'team-{{ $labels.job }}', job: ''}\n"
        "    annotations: {summary: '{{ $labels.job }} {{ $value }} {{ $externalLabels.site }} {{ $externalURL }}'}\n"
    )
    house = House(alert("load > 5", more=more), external=External(labels={"site": "north"}, url="http://w"))
    house.evaluated(load__a=7)

    ((_, alerts),) = house.evaluator.alerts()
    assert alerts.active[0].labels == {"alertname": "A", "who": "team-a"}
    assert alerts.active[0].annotations == {"summary": "a 7 north http://w"}


@pytest.mark.parametrize("rule", ["alert: A", "record: one"])
def test_series_that_labels_of_the_rule_make_equal_fail_it(rule: str) -> None:
    house = House(f"groups:\n- name: g\n  rules:\n  - {rule}\n    expr: load\n    labels: {{job: all}}\n")
    house.evaluated(load__a=7, load__b=8)

    (failure,) = house.evaluator.evaluate().failures

    assert "same labelset" in str(failure.error)
    assert house.now("one") == house.now("ALERTS") == {}


def test_more_series_than_the_limit_are_not_recorded() -> None:
    house = House("groups:\n- name: g\n  limit: 1\n  rules:\n  - {record: one, expr: load}\n")
    house.evaluated(load__a=7)
    house.evaluated(load__a=7, load__b=8)

    (failure,) = house.evaluator.evaluate().failures

    assert isinstance(failure.error, LimitExceededError)
    assert house.now("one") == {'one{job="a"}': 7}, "what was recorded last stays"


def test_more_alerts_than_the_limit_clear_them_all() -> None:
    house = House(alert("load > 5", group="  limit: 1\n"))
    assert house.evaluated(load__a=7) == ["A firing"]

    assert house.evaluated(load__a=7, load__b=8) == ["A resolved", "A resolved"]

    assert house.evaluator.failures == 1
    assert [alerts.alerts for _, alerts in house.evaluator.alerts()] == [[]]


def test_rules_look_back_by_the_groups_offset() -> None:
    house = House("groups:\n- name: g\n  query_offset: 10s\n  rules:\n  - {record: late, expr: load}\n")
    house.evaluated(load__a=1)
    house.evaluated(load__a=2)

    assert house.now("late") == {'late{job="a"}': 1}


class TestRestarting:
    RULES = alert("load > 5", more="    for: 20s\n    keep_firing_for: 20s\n")

    def test_state_survives_as_data_and_the_pause_does_not_count(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        house.evaluated(load__a=7)
        state = house.evaluator.state()
        assert state is not None

        house.now_ms += 1_000_000
        house.evaluator = house.started()
        house.evaluator.restore(GroupState.model_validate_json(state.model_dump_json()))

        assert house.evaluated(load__a=7) == ["A firing"], "10 s before and 10 s after"

    def test_without_state_it_waits_again(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        house.evaluated(load__a=7)

        house.evaluator = house.started()

        assert house.evaluated(load__a=7) == ["A pending"]

    def test_what_fired_goes_on_and_is_resolved_once(self) -> None:
        house = House(alert("load > 5"))
        house.evaluated(load__a=7)
        state = house.evaluator.state()
        assert state is not None

        house.now_ms += 1_000_000
        house.evaluator = house.started()
        house.evaluator.restore(state)

        assert house.evaluated(load__a=1) == ["A resolved"]
        assert house.evaluated(load__a=1) == []

    def test_a_value_without_digits_survives(self) -> None:
        house = House(alert("load == Inf"))
        house.evaluated(load__a=float("inf"))
        state = house.evaluator.state()
        assert state is not None

        again = GroupState.model_validate_json(state.model_dump_json())

        assert again == state
        assert again.rules[0].alerts[0].value == float("inf")

    def test_rules_that_were_not_there_start_anew(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        state = house.evaluator.state()
        assert state is not None

        other = House(self.RULES.replace("alert: A", "alert: B"))
        other.evaluator.restore(state)

        assert other.evaluated(load__a=7) == ["B pending"]

    def test_a_clock_that_went_back_moves_nothing(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        state = house.evaluator.state()
        assert state is not None
        house.now_ms -= 5_000

        house.evaluator = house.started()
        house.evaluator.restore(state)

        ((_, alerts),) = house.evaluator.alerts()
        assert (alerts.active[0].state, alerts.active[0].active_at_ms) == (AlertState.PENDING, STEP_MS)

    def test_there_is_no_state_before_the_first_evaluation(self) -> None:
        assert House(self.RULES).evaluator.state() is None


class TestChangedRules:
    """Another evaluator of the same group, whose file was changed, goes on."""

    RULES = (
        "groups:\n- name: g\n  rules:\n"
        "  - {record: double, expr: 'load * 2'}\n"
        "  - {alert: A, expr: 'load > 5', for: 10s}\n"
        "  - {alert: B, expr: 'load > 6'}\n"
    )

    @staticmethod
    def followed(house: House, rules: str) -> list[str]:
        """What ended with the change."""
        (house.group,) = parse(rules, file="rules.yml")
        former, house.evaluator = house.evaluator, house.started()
        return [f"{t.alert.labels['alertname']} {t.alert.state}" for t in house.evaluator.follow(former)]

    def test_alerts_of_rules_that_are_still_there_go_on(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)

        assert self.followed(house, self.RULES.replace("> 6", "> 6.5")) == []
        assert house.evaluated(load__a=7) == ["A firing"], "it was pending for 10 s"

    def test_those_of_others_end_with_their_series(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        house.now_ms += 1_000

        changed = "groups:\n- name: g\n  rules:\n  - {alert: A, expr: 'load > 5', for: 10s}\n"
        assert self.followed(house, changed) == ["B resolved"]
        assert list(house.now("ALERTS")) == ['ALERTS{alertname="A", alertstate="pending", job="a"}']
        assert house.now("double") == {}

    def test_the_end_of_a_group_ends_all(self) -> None:
        house = House(self.RULES)
        house.evaluated(load__a=7)
        house.now_ms += 1_000

        assert [str(t.alert.state) for t in house.evaluator.end()] == ["pending", "resolved"]
        assert house.now("ALERTS") == house.now("double") == {}

    def test_one_that_fires_and_has_to_wait_anew_is_over_for_now(self) -> None:
        house = House(alert("load > 5"))
        assert house.evaluated(load__a=7) == ["A firing"]

        self.followed(house, alert("load > 5", more="    for: 1m\n"))
        assert house.evaluated(load__a=7) == ["A resolved", "A pending"]
