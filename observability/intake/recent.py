"""What was seen lately, bounded in number and time."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Final, Generic, TypeVar

MOST_IDS: Final = 65_536
"""Some minutes of a hundred questions a second, each of which tells three facts; redeliveries come within seconds."""

Key = TypeVar("Key", bound=Hashable)


class SeenIds:
    """Tells repeats of ids. Past `most` the oldest are forgotten."""

    def __init__(self, *, most: int = MOST_IDS) -> None:
        self._most = most
        # Hashes of 64 bits take a fraction of the ids' memory; that two ids share one does not happen.
        self._seen: OrderedDict[int, None] = OrderedDict()

    def is_new(self, id: str) -> bool:
        """Whether this id was not seen before; it is from now on."""
        key = hash(id)
        if key in self._seen:
            return False
        self._seen[key] = None
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return True


class OpenSpans(Generic[Key]):
    """When things began that have not ended. Past `most`, and after `longest_s`, the oldest are given up."""

    def __init__(self, *, longest_s: float, most: int = MOST_IDS) -> None:
        self._longest_s = longest_s
        self._most = most
        self._began: OrderedDict[Key, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._began)

    def begin(self, key: Key, *, now: float) -> None:
        """Something begins; if it had begun already, the first time counts."""
        self._began.setdefault(key, now)
        while self._began and (len(self._began) > self._most or now - self._oldest() > self._longest_s):
            self._began.popitem(last=False)

    def end(self, key: Key, *, now: float) -> float | None:
        """Seconds since it began; None when that is not known."""
        began = self._began.pop(key, None)
        return None if began is None else now - began

    def _oldest(self) -> float:
        return next(iter(self._began.values()))


class RecentlyHeard:
    """How many different names were heard within `window_s`; past `most` no more are told apart."""

    def __init__(self, *, window_s: float, most: int) -> None:
        self._window_s = window_s
        self._most = most
        self._heard: OrderedDict[str, float] = OrderedDict()

    def hear(self, name: str, *, now: float) -> None:
        self._heard[name] = now
        self._heard.move_to_end(name)
        if len(self._heard) > self._most:
            self._heard.popitem(last=False)

    def count(self, *, now: float) -> int:
        """How many there were."""
        while self._heard and now - next(iter(self._heard.values())) > self._window_s:
            self._heard.popitem(last=False)
        return len(self._heard)
