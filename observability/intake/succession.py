"""Processes under one name, one after the other, and two at once, which must not be."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from enum import StrEnum
from typing import Final, Generic, TypeVar

MOST_REMEMBERED: Final = 8

Identity = TypeVar("Identity", bound=Hashable)


class Standing(StrEnum):
    """What a message under a name comes from."""

    SAME = "same"
    NEW = "new"  # another process than before: the older one was replaced
    REPLACED = "replaced"  # a process that had been replaced is still there: two have one name


class Succession(Generic[Identity]):
    """Which process bears a name. The one that was heard of last for the first time does, whatever clocks say.

    A process that was replaced is not listened to while its successor lives, for their counters would be mixed.
    """

    def __init__(self, identity: Identity) -> None:
        self.current = identity
        self._replaced: deque[Identity] = deque(maxlen=MOST_REMEMBERED)

    def judge(self, identity: Identity, *, current_lives: bool) -> Standing:
        """Take note of who was just heard under the name."""
        if identity == self.current:
            return Standing.SAME
        if current_lives and identity in self._replaced:
            return Standing.REPLACED
        self._replaced.append(self.current)
        self.current = identity
        return Standing.NEW
