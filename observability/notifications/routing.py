"""The route tree: which receivers an alert goes to, and how it is grouped for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from observability.notifications.configuration import (
    GROUP_BY_EVERYTHING,
    NotificationConfig,
    Receiver,
    RouteModel,
    TimeInterval,
)
from observability.notifications.matchers import Matchers

GROUP_WAIT = timedelta(seconds=30)
GROUP_INTERVAL = timedelta(minutes=5)
REPEAT_INTERVAL = timedelta(hours=4)


@dataclass(frozen=True, kw_only=True)
class Route:
    """A branch with everything it inherits. `path` names it, and stays the same while the branch does."""

    path: str
    matchers: Matchers
    receiver: Receiver
    group_by: tuple[str, ...] = ()
    group_wait: timedelta = GROUP_WAIT
    group_interval: timedelta = GROUP_INTERVAL
    repeat_interval: timedelta = REPEAT_INTERVAL
    mute_times: tuple[TimeInterval, ...] = ()
    active_times: tuple[TimeInterval, ...] = ()
    continues: bool = False
    children: tuple[Route, ...] = field(default=(), repr=False)

    def matching(self, labels: Mapping[str, str]) -> list[Route]:
        """The branches that take an alert: the deepest on each way, the first way only unless it continues."""
        if not self.matchers.accept(labels):
            return []
        taken: list[Route] = []
        for child in self.children:
            found = child.matching(labels)
            taken += found
            if found and not child.continues:
                break
        return taken or [self]

    def group_labels(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Those of `labels` that alerts of one group have in common."""
        if GROUP_BY_EVERYTHING in self.group_by:
            return dict(sorted(labels.items()))
        return {name: labels[name] for name in sorted(self.group_by) if name in labels}

    def group_key(self, group_labels: Mapping[str, str]) -> str:
        """The group's name, as Alertmanager has it: `{}/{severity="critical"}:{alertname="x"}`."""
        return f"{self.path}:{_braces(group_labels)}"

    def muted_by(self, moment: datetime) -> str | None:
        """The time interval for which nobody is told, or None."""
        muting = next((times.name for times in self.mute_times if times.holds(moment)), None)
        if muting is not None or not self.active_times or any(times.holds(moment) for times in self.active_times):
            return muting
        return "outside " + ", ".join(times.name for times in self.active_times)

    def every(self) -> Iterator[Route]:
        yield self
        for child in self.children:
            yield from child.every()


def route_tree(config: NotificationConfig) -> Route:
    """The tree of a checked file."""
    intervals = {interval.name: interval for interval in config.time_intervals}
    assert config.route.receiver is not None
    root = Route(path="", matchers=Matchers(), receiver=config.receiver(config.route.receiver))
    return _built(config.route, root, config, intervals, path="{}")


def _built(
    model: RouteModel, parent: Route, config: NotificationConfig, intervals: Mapping[str, TimeInterval], *, path: str
) -> Route:
    inherited = {
        name: getattr(model, name)
        for name in ("group_by", "group_wait", "group_interval", "repeat_interval")
        if getattr(model, name) is not None
    }
    route = replace(
        parent,
        path=path,
        matchers=Matchers.parse(model.matchers),
        receiver=parent.receiver if model.receiver is None else config.receiver(model.receiver),
        mute_times=tuple(intervals[name] for name in model.mute_time_intervals),
        active_times=tuple(intervals[name] for name in model.active_time_intervals),
        continues=model.continue_,
        children=(),
        **inherited,
    )
    taken: dict[str, int] = {}
    children = []
    for child in model.routes:
        step = f"{path}/{Matchers.parse(child.matchers)}"
        taken[step] = taken.get(step, 0) + 1
        unique = step if taken[step] == 1 else f"{step}#{taken[step]}"
        children.append(_built(child, route, config, intervals, path=unique))
    return replace(route, children=tuple(children))


def _braces(labels: Mapping[str, str]) -> str:
    quoted = (f'{name}="{_escaped(text)}"' for name, text in sorted(labels.items()))
    return "{" + ", ".join(quoted) + "}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
