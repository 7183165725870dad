"""A world of alerts, silences, channels that fail and observers that die, in which no real time passes, and an oracle.

The oracle knows nothing of the pipeline: it judges by what fires, what hinders it (computed the simple way), and what receivers got.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum

from contracts.alerts import AlertEvent
from contracts.silences import LabelMatcher, MatchOperator, Silence
from observability.notifications.configuration import parse_config
from observability.notifications.errors import DeliveryError
from observability.notifications.notification import Notification
from observability.notifications.outbox import LONGEST_PAUSE, Outbox
from observability.notifications.pipeline import SETTLE, Pipeline
from observability.notifications.silencing import Silences
from observability.notifications.state import GroupRecord

CONFIG = """
route:
  receiver: team
  group_by: [alertname]
  routes:
    - matchers: ['severity="critical"']
      receiver: pager
    - matchers: ['severity="info"']
      receiver: team
      group_by: [alertname, service]
      mute_time_intervals: [nights]
receivers:
  - {name: team, channels: [mail]}
  - {name: pager, channels: [mail, chat]}
channels:
  mail: {kind: webhook, url: 'https://mail.example'}
  chat: {kind: webhook, url: 'https://chat.example'}
inhibit_rules:
  - source_matchers: ['alertname="Root"']
    target_matchers: ['alertname!="Root"', 'severity="critical"']
    equal: [service]
time_intervals:
  - name: nights
    time_intervals: [{times: [{start_time: '00:00', end_time: '06:00'}]}]
"""
GROUP_INTERVAL = timedelta(minutes=5)
REPEAT = timedelta(hours=4)
RESOLVED_KEPT_BY_RULES = timedelta(minutes=15)
SLACK = timedelta(seconds=1)
PATIENCE = GROUP_INTERVAL + LONGEST_PAUSE + SETTLE + SLACK
"""Within this time of nothing standing in the way, whoever is to be told has been told."""

Instance = tuple[str, datetime]


class Mode(Enum):
    UP = "takes what it is given"
    DOWN = "cannot be reached"
    REFUSING = "refuses for good"
    DOUBTFUL = "takes it, and the answer is lost"


@dataclass
class Receiver:
    """The far end of a channel: what it got, and what it believes."""

    mode: Mode = Mode.UP
    got: list[tuple[datetime, Notification]] = field(default_factory=list)
    believes: dict[str, Instance] = field(default_factory=dict)
    last_told: dict[Instance, datetime] = field(default_factory=dict)
    acknowledged: dict[Instance, datetime] = field(default_factory=dict)
    ends_in_doubt: set[str] = field(default_factory=set)
    """Of which it got the end, and the observer does not know that: it may get it again."""


class World:
    """Everything there is. Rules and receivers outlive the observer; its pipeline and outboxes do not."""

    def __init__(self, *, seed: int = 0) -> None:
        self.now = datetime(2026, 6, 1, 9, 0, tzinfo=UTC)
        self.config = parse_config(CONFIG)
        self.alerts: dict[str, AlertEvent] = {}
        self.silences: dict[str, Silence] = {}
        self.receivers = {name: Receiver() for name in self.config.channels}
        self.store: dict[str, bytes] = {}
        self.forgotten: set[str] = set()
        self.clear_since: dict[tuple[str, str], datetime] = {}
        self.observers = 0
        self._random = random.Random(seed)
        self._begin_observer()

    # What happens.

    def fire(self, name: str, severity: str, service: str) -> None:
        labels = {"alertname": name, "severity": severity, "service": service}
        alert = AlertEvent.of(labels, starts_at=self.now)
        known = self.alerts.get(alert.fingerprint)
        if known is not None and (known.is_firing or known.starts_at == self.now):
            return
        self._observe(alert)

    def resolve(self, number: int) -> None:
        firing = [alert for alert in self.alerts.values() if alert.is_firing]
        if firing:
            alert = firing[number % len(firing)]
            self._observe(AlertEvent.of(alert.labels, starts_at=alert.starts_at, ends_at=self.now))

    def silence(self, label: str, value: str, duration: timedelta) -> None:
        silence = Silence(
            id=f"s{len(self.silences)}",
            matchers=(LabelMatcher(name=label, operator=MatchOperator.EQUAL, value=value),),
            starts_at=self.now,
            ends_at=self.now + duration,
        )
        self.silences[silence.id] = silence
        self._silences.put(silence)

    def become(self, channel: str, mode: Mode) -> None:
        self.receivers[channel].mode = mode

    def crash(self) -> None:
        """The observer dies; another one takes over from what is stored."""
        for fingerprint, alert in self.alerts.items():
            if alert.ends_at is not None and alert.ends_at + RESOLVED_KEPT_BY_RULES < self.now:
                self.forgotten.add(fingerprint)
        self._begin_observer()

    def crash_with_a_message_on_its_way(self, channel: str) -> None:
        """It dies when a receiver has got a message and before that was stored."""
        waiting = self.outboxes[channel].take(self.now)
        if waiting is not None and (notification := self.pipeline.begin(waiting.due, self.now)) is not None:
            self._save()
            if self.receivers[channel].mode in {Mode.UP, Mode.DOUBTFUL}:
                self._deliver(channel, notification, acknowledged=False)
        self.crash()

    def advance(self, duration: timedelta) -> None:
        """Let time go by, from one thing that happens to the next."""
        end = self.now + duration
        while True:
            self._work()
            self._note_what_is_clear()
            upcoming = [self.pipeline.next_turn_at(), *(outbox.next_at() for outbox in self.outboxes.values())]
            upcoming += [silence.ends_at for silence in self.silences.values()]
            upcoming += [self.now + timedelta(minutes=10)]  # nights begin and end on their own
            following = min((moment for moment in upcoming if moment is not None and moment > self.now), default=end)
            if following > end:
                break
            self.now = following
        self.now = end
        self._work()
        self._note_what_is_clear()
        self.judge()

    # What is expected.

    def judge(self) -> None:
        """Raises `AssertionError` where somebody was not told what they have to be told."""
        for name, receiver in self.receivers.items():
            for alert in self.alerts.values():
                if name not in self._channels_of(alert) or alert.fingerprint in self.forgotten:
                    continue
                since = self.clear_since.get((name, alert.fingerprint))
                if since is None or self.now - since <= PATIENCE:
                    continue
                self._judge(receiver, alert)

    def _judge(self, receiver: Receiver, alert: AlertEvent) -> None:
        instance = (alert.fingerprint, alert.starts_at)
        believed = receiver.believes.get(alert.fingerprint)
        if alert.is_firing:
            assert believed == instance, f"{alert.labels} fires since {alert.starts_at}, and nobody was told"
            age = self.now - receiver.last_told[instance]
            assert age <= REPEAT + PATIENCE, f"{alert.labels} was not repeated for {age}"
        else:
            assert believed is None, f"{alert.labels} ended at {alert.ends_at}, and nobody was told"

    def hindered(self, alert: AlertEvent) -> bool:
        """Whether nobody is to be told now, worked out the simple way."""
        labels = alert.labels
        silenced = any(
            silence.starts_at <= self.now < silence.ends_at
            and all(labels.get(matcher.name) == matcher.value for matcher in silence.matchers)
            for silence in self.silences.values()
        )
        muted = labels["severity"] == "info" and self.now.hour < 6
        inhibited = (
            labels["severity"] == "critical"
            and labels["alertname"] != "Root"
            and any(
                root.is_firing and root.labels["alertname"] == "Root" and root.labels["service"] == labels["service"]
                for root in self.alerts.values()
            )
        )
        return silenced or muted or inhibited

    # How it works.

    def _begin_observer(self) -> None:
        self.observers += 1
        self._silences = Silences(s for s in self.silences.values() if s.ends_at > self.now)
        self.pipeline = Pipeline(self.config, silences=self._silences, now=self.now)
        self.outboxes = {name: Outbox(jitter=self._random.random) for name in self.config.channels}
        self.pipeline.restore([GroupRecord.from_bytes(content) for content in self.store.values()], self.now)
        for alert in self.alerts.values():
            if alert.ends_at is None or alert.ends_at + RESOLVED_KEPT_BY_RULES >= self.now:
                self.pipeline.observe(alert, self.now)
        self.clear_since.clear()
        self._save()

    def _observe(self, alert: AlertEvent) -> None:
        self.forgotten.discard(alert.fingerprint)
        self.alerts[alert.fingerprint] = alert
        for name in self.receivers:
            self.clear_since.pop((name, alert.fingerprint), None)
        self.pipeline.observe(alert, self.now)
        self._save()

    def _work(self) -> None:
        for due in self.pipeline.turns(self.now):
            assert self.outboxes[due.channel].offer(due, self.now)
        self._save()
        for name, outbox in self.outboxes.items():
            while (waiting := outbox.take(self.now)) is not None:
                notification = self.pipeline.begin(waiting.due, self.now)
                if notification is None:
                    continue
                self._save()
                error = self._attempt(name, notification)
                if error is None:
                    self.pipeline.delivered(notification, self.now)
                else:
                    self.pipeline.failed(notification, in_doubt=error.in_doubt)
                    outbox.failed(waiting, error, self.now)
                self._save()

    def _attempt(self, channel: str, notification: Notification) -> DeliveryError | None:
        mode = self.receivers[channel].mode
        if mode is Mode.UP:
            self._deliver(channel, notification, acknowledged=True)
            return None
        if mode is Mode.DOUBTFUL:
            self._deliver(channel, notification, acknowledged=False)
        return DeliveryError(mode.value, final=mode is Mode.REFUSING, in_doubt=mode is Mode.DOUBTFUL)

    def _deliver(self, channel: str, notification: Notification, *, acknowledged: bool) -> None:
        """What no receiver may ever see is judged as it comes."""
        receiver = self.receivers[channel]
        assert notification.alerts, "a message about nothing"
        assert not any(self.hindered(alert) for alert in notification.alerts), "told what nobody is to be told"
        for alert in notification.resolved:
            begun = alert.fingerprint in receiver.believes or alert.fingerprint in receiver.ends_in_doubt
            assert begun, f"the end of {alert.labels}, whose beginning was never told"
        self._require_news(receiver, notification)
        receiver.got.append((self.now, notification))
        for alert in notification.resolved:
            receiver.believes.pop(alert.fingerprint, None)
            if acknowledged:
                receiver.ends_in_doubt.discard(alert.fingerprint)
            else:
                receiver.ends_in_doubt.add(alert.fingerprint)
        for alert in notification.firing:
            instance = (alert.fingerprint, alert.starts_at)
            receiver.believes[alert.fingerprint] = instance
            receiver.last_told[instance] = self.now
            if acknowledged:
                receiver.acknowledged[instance] = self.now
            else:
                receiver.acknowledged.pop(instance, None)

    def _require_news(self, receiver: Receiver, notification: Notification) -> None:
        """Something is new, over, or was told so long ago that it is told again."""
        told = [receiver.acknowledged.get((a.fingerprint, a.starts_at)) for a in notification.firing]
        known = all(at is not None and self.now - at < REPEAT for at in told)
        assert notification.resolved or not known, f"told again without a change: {notification.firing}"

    def _note_what_is_clear(self) -> None:
        for name, receiver in self.receivers.items():
            for alert in self.alerts.values():
                key = (name, alert.fingerprint)
                if receiver.mode is Mode.UP and not self.hindered(alert):
                    self.clear_since.setdefault(key, self.now)
                else:
                    self.clear_since.pop(key, None)

    def _channels_of(self, alert: AlertEvent) -> tuple[str, ...]:
        return ("mail", "chat") if alert.labels["severity"] == "critical" else ("mail",)

    def _save(self) -> None:
        for key in self.pipeline.take_changed():
            record = self.pipeline.record(key, self.observers)
            if record is None:
                self.store.pop(key, None)
            else:
                self.store[key] = record.to_bytes()
