"""The stages one by one, by a clock that stands still."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.alerts import AlertEvent
from contracts.notifications import MAX_TOLD_ALERTS, SendReason
from contracts.silences import LabelMatcher, MatchOperator, Silence
from observability.notifications import pipeline as pipeline_module
from observability.notifications.configuration import NotificationConfig, parse_config
from observability.notifications.notification import Notification
from observability.notifications.pipeline import Due, Pipeline
from observability.notifications.silencing import MAX_SILENCES, Silences
from observability.notifications.stages import Hindrance
from observability.notifications.state import GroupRecord
from tests.unit.observability.notifications.examples import MORNING, alert

S, M, H = (timedelta(**{unit: 1}) for unit in ("seconds", "minutes", "hours"))
CONFIG = """
route:
  receiver: team
  group_by: [alertname]
  routes:
    - {matchers: ['night="yes"'], receiver: team, mute_time_intervals: [mornings]}
    - {matchers: ['day="yes"'], receiver: team, active_time_intervals: [mornings]}
    - {matchers: ['am="yes"'], receiver: forwarded}
    - {matchers: ['drop="yes"'], receiver: nobody}
receivers: [{name: team, channels: [mail, quiet]}, {name: forwarded, channels: [am]}, {name: nobody}]
channels:
  mail: {kind: webhook, url: 'https://mail.example'}
  quiet: {kind: webhook, url: 'https://quiet.example', send_resolved: false}
  am: {kind: alertmanager, url: 'https://am.example'}
inhibit_rules:
  - {source_matchers: ['alertname="Root"'], target_matchers: ['severity="critical"'], equal: [service]}
time_intervals:
  - {name: mornings, time_intervals: [{times: [{start_time: '06:00', end_time: '12:00'}]}]}
"""


class Desk:
    """A pipeline whose channels take everything at once."""

    def __init__(self, *, settle: timedelta = timedelta(), config: NotificationConfig | None = None) -> None:
        self.silences = Silences()
        self.config = config or parse_config(CONFIG)
        self.pipeline = Pipeline(self.config, silences=self.silences, now=MORNING, settle=settle)

    def observe(self, *alerts: AlertEvent, at: datetime = MORNING) -> None:
        for each in alerts:
            self.pipeline.observe(each, at)

    def told(self, at: datetime, *, channel: str = "mail") -> list[Notification]:
        """What goes through a channel when the groups have their turns."""
        sent = [(due, self.pipeline.begin(due, at)) for due in self.pipeline.turns(at)]
        for _, notification in sent:
            if notification is not None:
                self.pipeline.delivered(notification, at)
        return [n for due, n in sent if n is not None and due.channel == channel]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("docs/runbooks/Down.md", "https://wiki.example/runbooks/Down.md"),
        ("https://other.example/Down", "https://other.example/Down"),
    ],
)
def test_a_runbook_is_looked_for_where_they_are_published(given: str, told: str) -> None:
    desk = Desk(config=parse_config(CONFIG + "runbooks_url: https://wiki.example/runbooks/\n"))
    desk.observe(alert("Down").model_copy(update={"annotations": {"summary": "It is down.", "runbook_url": given}}))
    (notification,) = desk.told(MORNING + 30 * S)
    assert notification.firing[0].annotations == {"summary": "It is down.", "runbook_url": told}


def names(notifications: list[Notification]) -> list[str]:
    return sorted(each.name for n in notifications for each in n.firing)


class TestGroups:
    def test_a_group_waits_for_others_and_then_tells_all_at_once(self, desk: Desk) -> None:
        desk.observe(alert(service="embed"))
        desk.observe(alert(service="ingest", at=MORNING + 20 * S), at=MORNING + 20 * S)

        assert desk.told(MORNING + 29 * S) == []
        (told,) = desk.told(MORNING + 30 * S)
        assert len(told.firing) == 2
        assert told.reason is SendReason.FIRST

    def test_what_comes_later_waits_for_the_groups_next_turn(self, desk: Desk) -> None:
        desk.observe(alert(service="embed"))
        desk.told(MORNING + 30 * S)
        desk.observe(alert(service="ingest", at=MORNING + M), at=MORNING + M)

        assert desk.told(MORNING + 5 * M + 29 * S) == []
        (told,) = desk.told(MORNING + 5 * M + 30 * S)
        assert told.reason is SendReason.NEW_ALERTS
        assert len(told.firing) == 2

    def test_an_alert_that_has_waited_already_is_told_at_once(self, desk: Desk) -> None:
        desk.observe(alert(at=MORNING - H))

        assert len(desk.told(MORNING)) == 1

    def test_what_is_over_before_it_was_told_is_never_told(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.observe(AlertEvent.of(alert().labels, starts_at=MORNING, ends_at=MORNING + 10 * S), at=MORNING + 10 * S)

        assert desk.told(MORNING + H) == []
        assert desk.pipeline.groups == ()

    def test_receivers_without_channels_cost_nothing(self, desk: Desk) -> None:
        desk.observe(alert(drop="yes"))

        assert desk.pipeline.groups == ()

    def test_old_news_changes_nothing(self, desk: Desk) -> None:
        over = alert(minutes=1)
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        desk.observe(over, alert(), alert(at=MORNING - H), at=MORNING + M)

        (told,) = desk.told(MORNING + 6 * M)
        assert told.resolved == (over,)

    def test_more_alerts_than_fit_are_counted(self, desk: Desk) -> None:
        desk.observe(*(alert(n=str(n)) for n in range(MAX_TOLD_ALERTS + 7)))

        (told,) = desk.told(MORNING + 30 * S)
        assert len(told.firing) == MAX_TOLD_ALERTS
        assert told.left_out == 7

    def test_more_groups_than_fit_share_one_and_nothing_is_lost(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline_module, "MAX_GROUPS", 3)
        desk = Desk()
        desk.observe(*(alert(f"A{n}") for n in range(10)))

        told = desk.told(MORNING + 30 * S)
        assert len(told) == 4
        assert names(told) == sorted(f"A{n}" for n in range(10))
        desk.observe(*(alert(f"A{n}", minutes=1) for n in range(10)), at=MORNING + M)
        assert sum(len(n.resolved) for n in desk.told(MORNING + 6 * M)) == 10
        assert desk.told(MORNING + 12 * M) == []
        assert desk.pipeline.groups == ()

    def test_all_groups_together_are_bounded_and_each_names_some(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(pipeline_module, "MAX_ALERTS", 100)
        desk = Desk()
        flood = [alert(f"A{n % 5}", n=str(n)) for n in range(300)]
        desk.observe(*flood, alert("Late"))

        told = desk.told(MORNING + 30 * S)
        assert sum(len(n.firing) for n in told) == 101
        assert sum(n.left_out for n in told) == 200
        assert "Late" in names(told)

    def test_what_was_left_out_comes_in_when_there_is_room_and_it_is_observed_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(pipeline_module, "MAX_ALERTS", 15)
        desk = Desk()
        left_out = [alert(n=str(n), at=MORNING + S) for n in range(20, 30)]
        desk.observe(*(alert(n=str(n)) for n in range(15)), *left_out)
        desk.told(MORNING + 30 * S)
        desk.observe(*(alert(n=str(n), minutes=1) for n in range(15)), at=MORNING + M)
        desk.told(MORNING + 6 * M)
        desk.told(MORNING + 12 * M)
        desk.observe(*left_out, at=MORNING + 13 * M)

        assert names(desk.told(MORNING + 18 * M)) == ["HighErrorRate"] * 10


class TestStages:
    def test_nothing_is_told_while_the_observer_settles(self) -> None:
        desk = Desk(settle=M)
        desk.observe(alert(at=MORNING - H))

        assert desk.pipeline.next_turn_at() == MORNING + M
        assert desk.told(MORNING + 59 * S) == []
        assert len(desk.told(MORNING + M)) == 1

    def test_a_silenced_alert_is_told_at_the_first_turn_after_its_silence(self, desk: Desk) -> None:
        desk.silences.put(silence("service", "embed", MORNING + 7 * M))
        desk.observe(alert(service="embed"))

        assert desk.told(MORNING + 30 * S) == []
        assert desk.told(MORNING + 5 * M + 30 * S) == []
        assert len(desk.told(MORNING + 10 * M + 30 * S)) == 1

    def test_the_others_of_its_group_are_told(self, desk: Desk) -> None:
        desk.silences.put(silence("service", "embed", MORNING + H))
        desk.observe(alert(service="embed"), alert(service="ingest"))

        (told,) = desk.told(MORNING + 30 * S)
        assert [each.labels["service"] for each in told.firing] == ["ingest"]

    def test_the_end_of_a_silenced_alert_is_told_after_the_silence_to_who_knew_of_it(self, desk: Desk) -> None:
        desk.observe(alert(service="embed"))
        desk.told(MORNING + 30 * S)
        desk.silences.put(silence("service", "embed", MORNING + H))
        desk.observe(alert(service="embed", minutes=10), at=MORNING + 10 * M)

        assert desk.told(MORNING + 59 * M) == []
        (told,) = desk.told(MORNING + 2 * H)
        assert told.reason is SendReason.RESOLVED

    def test_a_target_is_inhibited_while_its_source_fires(self, desk: Desk) -> None:
        root = alert("Root", service="embed")
        desk.observe(alert(service="embed"), alert(service="ingest"), root)

        told = desk.told(MORNING + 30 * S)
        assert [(a.name, a.labels["service"]) for n in told for a in n.firing] == [
            ("HighErrorRate", "ingest"),
            ("Root", "embed"),
        ]
        desk.observe(alert("Root", service="embed", minutes=1), at=MORNING + M)
        assert ("HighErrorRate", "embed") in [
            (a.name, a.labels["service"]) for n in desk.told(MORNING + 6 * M) for a in n.firing
        ]

    def test_no_alert_inhibits_itself(self, desk: Desk) -> None:
        desk.observe(alert("Root", service="embed"), alert("Root", service="embed", instance="2"))

        assert names(desk.told(MORNING + 30 * S)) == ["Root", "Root"]

    @pytest.mark.parametrize(("label", "hours"), [("night", 3), ("day", 0)])
    def test_mute_and_active_times_say_when(self, desk: Desk, label: str, hours: int) -> None:
        desk.observe(AlertEvent.of({"alertname": "X", label: "yes"}, starts_at=MORNING))

        told_at = next(h for h in range(12) if desk.told(MORNING + h * H + M))
        assert told_at == hours

    def test_the_reason_names_what_hinders(self, desk: Desk) -> None:
        desk.silences.put(silence("service", "embed", MORNING + H))
        desk.observe(alert(service="embed"), alert(night="yes"))

        withheld = [w for g in desk.pipeline.groups for w in desk.pipeline.sifted(g, MORNING).withheld]
        assert {(w.hindrance, w.by) for w in withheld} == {(Hindrance.SILENCED, "s"), (Hindrance.MUTED, "mornings")}


class TestDeduplication:
    def test_it_is_repeated_after_the_repeat_interval(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        told = [(turn, n.reason) for turn in range(1, 100) for n in desk.told(MORNING + 30 * S + turn * 5 * M)]

        assert told == [(48, SendReason.REPEATED), (96, SendReason.REPEATED)]

    def test_an_alert_that_fires_again_is_a_new_one(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        desk.observe(alert(minutes=1), alert(at=MORNING + 2 * M), at=MORNING + 2 * M)

        (told,) = desk.told(MORNING + 6 * M)
        assert told.reason is SendReason.NEW_ALERTS
        assert told.resolved == ()

    def test_ends_are_not_told_where_they_are_not_wanted(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        desk.observe(alert(minutes=1), at=MORNING + M)

        assert desk.told(MORNING + 6 * M, channel="quiet") == []
        assert desk.told(MORNING + 12 * M, channel="quiet") == []
        assert desk.pipeline.groups == ()

    def test_an_alertmanager_is_told_at_every_turn(self, desk: Desk) -> None:
        desk.observe(alert(am="yes"))
        told = [desk.told(MORNING + 30 * S + turn * 5 * M, channel="am") for turn in range(4)]

        assert [len(each) for each in told] == [1, 1, 1, 1]

    def test_the_same_content_has_the_same_key_and_a_repetition_another(self, desk: Desk) -> None:
        desk.observe(alert())
        (due, _) = desk.pipeline.turns(MORNING + 30 * S)
        keys = []
        for _ in range(2):
            notification = begun(desk.pipeline, due, MORNING + 30 * S)
            keys.append(notification.id)
            desk.pipeline.failed(notification, in_doubt=True)
        desk.pipeline.delivered(begun(desk.pipeline, due, MORNING + M), MORNING + M)
        (repeated,) = desk.told(MORNING + 5 * H)

        assert keys[0] == keys[1] != repeated.id

    def test_what_was_told_meanwhile_is_not_told_again(self, desk: Desk) -> None:
        desk.observe(alert())
        (due, _) = desk.pipeline.turns(MORNING + 30 * S)
        desk.pipeline.delivered(begun(desk.pipeline, due, MORNING + 30 * S), MORNING + 30 * S)

        assert desk.pipeline.begin(due, MORNING + 31 * S) is None

    @pytest.mark.parametrize(("in_doubt", "tells_the_end"), [(True, True), (False, False)])
    def test_the_end_of_what_is_in_doubt_is_told(self, desk: Desk, in_doubt: bool, tells_the_end: bool) -> None:
        desk.observe(alert())
        (due, _) = desk.pipeline.turns(MORNING + 30 * S)
        desk.pipeline.failed(begun(desk.pipeline, due, MORNING + 30 * S), in_doubt=in_doubt)
        desk.observe(alert(minutes=1), at=MORNING + M)

        assert bool(desk.told(MORNING + 6 * M)) is tells_the_end


class TestRestoring:
    def test_another_observer_goes_on_where_the_first_stopped(self, desk: Desk) -> None:
        desk.observe(alert(service="embed"))
        desk.told(MORNING + 30 * S)
        desk.observe(alert("Waiting", at=MORNING + M), at=MORNING + M)
        second = Desk()
        second.pipeline.restore(stored(desk.pipeline), MORNING + M + 10 * S)
        second.observe(alert(service="embed"), alert("Waiting", at=MORNING + M), at=MORNING + M + 10 * S)

        assert second.told(MORNING + M + 29 * S) == []
        assert names(second.told(MORNING + M + 30 * S)) == ["Waiting"]
        assert second.told(MORNING + H) == []

    def test_an_end_is_told_by_the_second_of_what_the_first_told(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        second = Desk()
        second.pipeline.restore(stored(desk.pipeline), MORNING + 2 * M)
        second.observe(alert(minutes=1), at=MORNING + 2 * M)

        (told,) = second.told(MORNING + 6 * M)
        assert told.reason is SendReason.RESOLVED

    def test_an_attempt_under_way_is_in_doubt_for_the_second(self, desk: Desk) -> None:
        desk.observe(alert())
        (due, _) = desk.pipeline.turns(MORNING + 30 * S)
        first = begun(desk.pipeline, due, MORNING + 30 * S)
        second = Desk()
        second.pipeline.restore(stored(desk.pipeline), MORNING + M)
        second.observe(alert(), at=MORNING + M)

        (told,) = second.told(MORNING + 6 * M)
        assert told.id == first.id

    def test_groups_of_routes_that_are_no_more_are_forgotten(self, desk: Desk) -> None:
        desk.observe(alert(night="yes"))
        config = parse_config(CONFIG.replace('night="yes"', 'night="no"'))
        second = Desk(config=config)
        records = stored(desk.pipeline)
        second.pipeline.restore(records, MORNING)

        assert second.pipeline.groups == ()
        assert second.pipeline.take_changed() == (records[0].group_key,)

    def test_a_group_of_which_nothing_more_is_heard_is_forgotten(self, desk: Desk) -> None:
        desk.observe(alert())
        desk.told(MORNING + 30 * S)
        second = Desk()
        second.pipeline.restore(stored(desk.pipeline), MORNING + M)
        for minutes in range(2, 60):
            second.told(MORNING + minutes * M)

        assert second.pipeline.groups == ()

    def test_a_record_of_the_largest_group_fits_into_a_message(self, desk: Desk) -> None:
        desk.observe(*(alert(n=str(n)) for n in range(MAX_TOLD_ALERTS)))
        desk.told(MORNING + 30 * S)

        (record,) = stored(desk.pipeline)
        assert len(record.to_bytes()) < 200_000


class TestSilences:
    def test_one_that_would_silence_everything_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least one matcher"):
            Silences().put(silence("service", "", MORNING + H))

    def test_they_are_bounded_and_the_ended_make_room(self) -> None:
        silences = Silences(silence("service", "x", MORNING + H, id=f"s{n}") for n in range(MAX_SILENCES))
        with pytest.raises(ValueError, match="remove some"):
            silences.put(silence("service", "x", MORNING + 3 * H, id="new"))

        silences.forget_ended(MORNING + 2 * H)
        silences.put(silence("service", "x", MORNING + 3 * H, id="new"))
        assert silences.silencing({"service": "x"}, MORNING + 2 * H)

    def test_one_that_is_removed_silences_nothing(self) -> None:
        silences = Silences([silence("service", "x", MORNING + H)])
        silences.remove("s")

        assert silences.silencing({"service": "x"}, MORNING) is None


def silence(label: str, value: str, until: datetime, *, id: str = "s") -> Silence:
    matcher = LabelMatcher(name=label, operator=MatchOperator.EQUAL, value=value)
    return Silence(id=id, matchers=(matcher,), starts_at=datetime(2026, 1, 1, tzinfo=UTC), ends_at=until)


def begun(pipeline: Pipeline, due: Due, at: datetime) -> Notification:
    notification = pipeline.begin(due, at)
    assert notification is not None
    return notification


def stored(pipeline: Pipeline) -> list[GroupRecord]:
    records = [pipeline.record(group.key, 1) for group in pipeline.groups]
    return [GroupRecord.from_bytes(record.to_bytes()) for record in records if record is not None]
