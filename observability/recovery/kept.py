"""The newest events of a kind, whatever order they come in."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Generic, TypeVar

from contracts.message import Message

Kind = TypeVar("Kind", bound=Message)


class Kept(Generic[Kind]):
    """At most `most` events by key, in groups; of several with one key the first by its time. Which are kept does not depend
    on the order in which they come.
    """

    def __init__(self, most: int, *, group: Callable[[Kind], str]) -> None:
        self._most = most
        self._group = group
        self._by_key: dict[str, Kind] = {}
        self._groups: dict[str, dict[str, Kind]] = {}

    def take(self, key: str, event: Kind) -> None:
        known = self._by_key.get(key)
        if known is not None:
            if _first(known) <= _first(event):
                return
            self.drop(key)
        self._by_key[key] = event
        self._groups.setdefault(self._group(event), {})[key] = event
        if len(self._by_key) > self._most:
            self.drop(min(self._by_key, key=lambda each: (self._by_key[each].created_at, each)))

    def get(self, key: str) -> Kind | None:
        return self._by_key.get(key)

    def of(self, group: str) -> list[Kind]:
        """Oldest first."""
        return _in_order(self._groups.get(group, {}))

    def groups(self) -> Iterable[str]:
        return self._groups.keys()

    def all(self) -> list[Kind]:
        """Oldest first."""
        return _in_order(self._by_key)

    def copy(self) -> Kept[Kind]:
        other = Kept[Kind](self._most, group=self._group)
        other._by_key = dict(self._by_key)
        other._groups = {name: dict(events) for name, events in self._groups.items()}
        return other

    def drop(self, key: str) -> None:
        """Forget the event of a key, if there is one."""
        event = self._by_key.pop(key, None)
        if event is None:
            return
        group = self._group(event)
        del self._groups[group][key]
        if not self._groups[group]:
            del self._groups[group]


def _in_order(events: dict[str, Kind]) -> list[Kind]:
    return [events[key] for key in sorted(events, key=lambda each: (events[each].created_at, each))]


def _first(event: Message) -> tuple[datetime, str]:
    return event.created_at, event.model_dump_json()
