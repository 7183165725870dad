"""Whether what the file names is in it: receivers, channels, time intervals; each defined once, each used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from observability.notifications.configuration.located_yaml import Place
from observability.notifications.configuration.models import (
    MAX_DEPTH,
    MAX_ROUTES,
    NotificationConfig,
    RouteModel,
)

MAX_MATCHERS_LENGTH = 1024
"""Of one route: the names of groups, which hold the matchers on the way to them, stay within bounds."""

Problem = tuple[Place, str]


def problems_of(config: NotificationConfig) -> Iterator[Problem]:
    """What is wrong, and where."""
    yield from _defined_twice("receivers", [receiver.name for receiver in config.receivers])
    yield from _defined_twice("time_intervals", [interval.name for interval in config.time_intervals])
    yield from _channels_of_receivers(config)
    yield from _routes(config)


def _defined_twice(part: str, names: list[str]) -> Iterator[Problem]:
    counts = Counter(names)
    for number, name in enumerate(names):
        if counts[name] > 1 and name in names[:number]:
            yield (part, number, "name"), f"{name!r} is defined twice"


def _channels_of_receivers(config: NotificationConfig) -> Iterator[Problem]:
    for number, receiver in enumerate(config.receivers):
        for place, channel in enumerate(receiver.channels):
            if channel not in config.channels:
                yield ("receivers", number, "channels", place), _unknown("channel", channel, config.channels)


def _routes(config: NotificationConfig) -> Iterator[Problem]:
    for count, (place, route) in enumerate(_placed(config.route, ("route",)), start=1):
        if count > MAX_ROUTES:
            yield place, f"there are more than {MAX_ROUTES} routes"
            return
        yield from _bounds(route, place)
        yield from _names(route, place, config)


def _bounds(route: RouteModel, place: Place) -> Iterator[Problem]:
    if sum(map(len, route.matchers)) > MAX_MATCHERS_LENGTH:
        yield place, f"its matchers are longer than {MAX_MATCHERS_LENGTH} characters together"
    if len(place) > 1 + 2 * MAX_DEPTH:
        yield place, f"routes are nested more than {MAX_DEPTH} deep"


def _names(route: RouteModel, place: Place, config: NotificationConfig) -> Iterator[Problem]:
    receivers = [receiver.name for receiver in config.receivers]
    if route.receiver is not None and route.receiver not in receivers:
        yield (*place, "receiver"), _unknown("receiver", route.receiver, receivers)
    intervals = [interval.name for interval in config.time_intervals]
    for kind in ("mute_time_intervals", "active_time_intervals"):
        for number, name in enumerate(getattr(route, kind)):
            if name not in intervals:
                yield (*place, kind, number), _unknown("time interval", name, intervals)


def _placed(route: RouteModel, place: Place) -> Iterator[tuple[Place, RouteModel]]:
    yield place, route
    for number, child in enumerate(route.routes):
        yield from _placed(child, (*place, "routes", number))


def _unknown(kind: str, name: str, known: Iterable[str]) -> str:
    there = ", ".join(sorted(known)) or "none"
    return f"there is no {kind} {name!r}; there are: {there}"
