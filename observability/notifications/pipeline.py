"""From alerts to notifications, without a clock, a network or a broker of its own: whoever calls says what time it is.

An alert goes by the route tree into groups. At a group's turn the stages (settle, inhibit, mute times, silence) say which of its alerts
may be told, and what each channel was told before says whether it has to be told now. Delivery may then take several attempts, each of
which looks again. At least once: when in doubt, it is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from contracts.alerts import AlertEvent
from observability.notifications.configuration import NotificationConfig
from observability.notifications.dependents import Graph
from observability.notifications.groups import RESTORED_KEPT, Group
from observability.notifications.inhibition import Inhibition
from observability.notifications.notification import Notification, notification_id
from observability.notifications.routing import Route, route_tree
from observability.notifications.runbooks import with_runbook
from observability.notifications.silencing import Silences
from observability.notifications.stages import Inhibit, MuteTimes, Settle, Sifted, Silenced, Stage, sift
from observability.notifications.state import GroupRecord
from observability.notifications.told import Decision, Told, ToldAlert

SETTLE = timedelta(seconds=10)
MAX_GROUPS = 1000
MAX_ALERTS = 20_000
"""In all groups together. Beyond, a group takes `ALWAYS_NAMED`; the rest is counted in its messages and not named."""
ALWAYS_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A channel has something to be told of a group, at the latest until `deadline`, when the group has its next turn."""

    group_key: str
    channel: str
    receiver: str
    deadline: datetime


@dataclass(slots=True)
class _Attempt:
    notification: Notification
    before: dict[str, ToldAlert]


class Pipeline:
    """All groups of one configuration.

    After a start or a take-over: `restore` what was stored, `observe` every alert that fires and those that are over since at
    most 15 minutes, then `turns` as time goes by. Observe what fires again now and then: what there was no room for comes in then.
    """

    def __init__(
        self,
        config: NotificationConfig,
        *,
        silences: Silences,
        now: datetime,
        settle: timedelta = SETTLE,
        graph: Graph | None = None,
    ) -> None:
        """`graph`: who needs whom at the moment; alerts on what only suffers are inhibited by that on the root."""
        self._config = config
        self._root = route_tree(config)
        self._inhibition = Inhibition(config.inhibit_rules, graph=graph)
        self._settled_at = now + settle
        self._stages: tuple[Stage, ...] = (
            Settle(until=self._settled_at),
            Inhibit(inhibition=self._inhibition),
            MuteTimes(),
            Silenced(silences=silences),
        )
        self._groups: dict[str, Group] = {}
        self._attempts: dict[tuple[str, str], _Attempt] = {}
        self._held = 0
        self._changed: set[str] = set()

    @property
    def groups(self) -> tuple[Group, ...]:
        return tuple(self._groups.values())

    def restore(self, records: Iterable[GroupRecord], now: datetime) -> None:
        """Go on where another observer stopped. Groups of routes and channels that are no more are forgotten."""
        routes = {route.path: route for route in self._root.every()}
        for record in records:
            route = routes.get(record.route)
            self._changed.add(record.group_key)  # claimed, or removed
            if route is None:
                continue
            told = {name: t for name, t in record.told_of().items() if name in route.receiver.channels}
            self._groups[record.group_key] = Group(
                key=record.group_key,
                route=route,
                labels=dict(record.labels),
                next_turn=record.next_turn,
                told=told,
                had_turn=record.had_turn,
                kept_until=now + RESTORED_KEPT,
            )

    def observe(self, alert: AlertEvent, now: datetime) -> None:
        """Take note of an alert that fires, or is over. To hear of the same again changes nothing."""
        alert = with_runbook(alert, self._config.runbooks_url)
        self._inhibition.observe(alert)
        for route in self._root.matching(alert.labels):
            if route.receiver.channels:
                self._put(route, alert, now)

    def next_turn_at(self) -> datetime | None:
        """When `turns` has something to do; None: not before an alert is observed."""
        first = min((group.next_turn for group in self._groups.values()), default=None)
        return None if first is None else max(first, self._settled_at)

    def turns(self, now: datetime) -> list[Due]:
        """Give every group whose turn it is its turn: which channels have to be told something now."""
        if now < self._settled_at:
            return []
        due: list[Due] = []
        for group in [group for group in self._groups.values() if group.next_turn <= now]:
            group.turn(now)
            due += self._due(group, now)
            self._tidy(group, now)
        return due

    def begin(self, due: Due, now: datetime) -> Notification | None:
        """Compose what the channel has to be told by now, and note that it is about to be; None: nothing any more.

        Ends with `delivered` or `failed`, before which there is no second attempt for the same group and channel.
        """
        group = self._groups.get(due.group_key)
        if group is None:
            return None
        decision = self._decide(group, due.channel, now)
        if decision.reason is None:
            return None
        told = group.told_of(due.channel)
        notification = self._composed(group, due, decision, now)
        self._attempts[due.group_key, due.channel] = _Attempt(notification, dict(told.alerts))
        told.attempting(decision.firing)
        self._changed.add(group.key)
        return notification

    def delivered(self, notification: Notification, now: datetime) -> None:
        told = self._ended(notification)
        if told is not None:
            told.delivered(notification.firing, notification.resolved, now)

    def failed(self, notification: Notification, *, in_doubt: bool) -> None:
        """Not delivered; `in_doubt`: as far as is known."""
        attempt = self._attempts[notification.group_key, notification.channel]
        told = self._ended(notification)
        if told is not None and not in_doubt:
            told.retracted(notification.firing, attempt.before)

    def take_changed(self) -> tuple[str, ...]:
        """The keys of the groups whose records have changed since the last call, or are to be removed."""
        changed, self._changed = tuple(self._changed), set()
        return changed

    def touch(self, group_key: str) -> None:
        """Have a group among the changed ones: it could not be stored."""
        self._changed.add(group_key)

    def record(self, group_key: str, token: int) -> GroupRecord | None:
        """What is to be stored of a group; None: nothing, it is over."""
        group = self._groups.get(group_key)
        return None if group is None else GroupRecord.of(group, token)

    def adopt(self, record: GroupRecord) -> None:
        """Another observer, which led before, stored this after it was read here: what it told, it told."""
        group = self._groups.get(record.group_key)
        if group is None:
            return
        for channel, theirs in record.told.items():
            if channel in group.route.receiver.channels:
                group.told_of(channel).merge(theirs)
        self._changed.add(group.key)

    def _put(self, route: Route, alert: AlertEvent, now: datetime) -> None:
        group = self._group_of(route, alert, now)
        before, turn = len(group.alerts), group.next_turn
        group.put(alert, now, room=self._held < MAX_ALERTS or before < ALWAYS_NAMED)
        self._held += len(group.alerts) - before
        if group.next_turn != turn:
            self._changed.add(group.key)

    def _group_of(self, route: Route, alert: AlertEvent, now: datetime) -> Group:
        """The alert's group. When there are too many, new alerts share one group for each route."""
        labels = route.group_labels(alert.labels)
        key, shared = route.group_key(labels), f"{route.path}:*"
        if shared in self._groups and alert.fingerprint in self._groups[shared].alerts:
            key = shared
        elif key not in self._groups and len(self._groups) >= MAX_GROUPS:
            key, labels = shared, {}
        if key not in self._groups:
            self._groups[key] = Group.opened(key, route, labels, now)
            self._changed.add(key)
        return self._groups[key]

    def _due(self, group: Group, now: datetime) -> list[Due]:
        self._changed.add(group.key)
        receiver = group.route.receiver
        return [
            Due(group_key=group.key, channel=channel, receiver=receiver.name, deadline=group.next_turn)
            for channel in receiver.channels
            if self._decide(group, channel, now).reason is not None
        ]

    def _decide(self, group: Group, channel: str, now: datetime) -> Decision:
        model = self._config.channels[channel]
        return group.told_of(channel).decide(
            self.sifted(group, now).passed,
            repeat=timedelta() if model.forgets else group.route.repeat_interval,
            send_resolved=model.send_resolved,
            now=now,
        )

    def sifted(self, group: Group, now: datetime) -> Sifted:
        """Which alerts of a group may be told, and what hinders the others."""
        return sift(group.alerts.values(), self._stages, group.route, now)

    def _composed(self, group: Group, due: Due, decision: Decision, now: datetime) -> Notification:
        assert decision.reason is not None
        told = group.told_of(due.channel)
        before = [(alert, told.told_at(alert)) for alert in decision.firing]
        return Notification(
            id=notification_id(group.key, due.channel, before, decision.resolved),
            group_key=group.key,
            receiver=due.receiver,
            channel=due.channel,
            reason=decision.reason,
            group_labels=group.labels,
            firing=decision.firing,
            resolved=decision.resolved,
            at=now,
            group_interval=group.route.group_interval,
            left_out=len(group.left_out),
            external_url=self._config.external_url,
        )

    def _ended(self, notification: Notification) -> Told | None:
        del self._attempts[notification.group_key, notification.channel]
        group = self._groups.get(notification.group_key)
        self._changed.add(notification.group_key)
        return group.told_of(notification.channel) if group is not None else None

    def _tidy(self, group: Group, now: datetime) -> None:
        """Not while something is on its way: what becomes of it decides who has to hear of an end."""
        if any(key == group.key for key, _ in self._attempts):
            return
        before = len(group.alerts)
        group.tidy((c for c in group.route.receiver.channels if self._config.channels[c].send_resolved), now)
        self._held += len(group.alerts) - before
        if group.is_over(now):
            del self._groups[group.key]
