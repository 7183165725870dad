"""Numbered label sets, with what was worked out about them.

Rules are evaluated again and again over the same series. What depends on labels alone (groups, join keys, names
dropped) is worked out once for each table; an evaluation then only moves numbers.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, cast

import numpy as np
import numpy.typing as npt
from cachetools import LRUCache

from observability.promql.errors import EvaluationError
from observability.promql.labels import METADATA, Labels

Rows = npt.NDArray[np.intp]
"""Row numbers of a table, (n,)."""

MOST_DERIVED: Final = 64
"""What is kept of one table: as many as there are rules about one metric, and a bound for questions from outside."""

T = TypeVar("T")


class LabelTable:
    """Label sets by row number. Never changes; two tables may hold equal sets. Safe for several threads."""

    __slots__ = ("_derived", "_distinct", "_lock", "labels")

    def __init__(self, labels: Sequence[Labels]) -> None:
        self.labels: Final = tuple(labels)
        self._derived: LRUCache[Hashable, object] = LRUCache(maxsize=MOST_DERIVED)
        self._distinct: tuple[Rows, bool] | None = None
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self.labels)

    def remember(self, key: Hashable, make: Callable[[], T]) -> T:
        """What `make` returns, made once for each `key` that names everything it depends on besides this table."""
        with self._lock:
            kept = self._derived.get(key)
        if kept is not None:
            return cast("T", kept)
        made = make()
        with self._lock:
            # Of two threads that made it at once both go on with the same.
            return cast("T", self._derived.setdefault(key, made))

    def mapped(self, key: Hashable, change: Callable[[Labels], Labels]) -> LabelTable:
        """A table with the same rows, their labels changed by `change`, which `key` names."""
        return self.remember(key, lambda: LabelTable([change(labels) for labels in self.labels]))

    def nameless(self) -> LabelTable:
        """The same rows without metric name, type and unit."""
        return self.mapped("nameless", lambda labels: labels.without(METADATA))

    def check_distinct(self, rows: Rows) -> None:
        """Raise `EvaluationError` if two of `rows` have equal labels: they would be one series with two values."""
        if self._distinct is None:
            ids = numbered(self.labels)[0]
            self._distinct = ids, bool(len(ids) == 0 or ids.max() + 1 == len(ids))
        ids, all_distinct = self._distinct
        if all_distinct:
            return
        present = ids[rows]
        unique, counts = np.unique(present, return_counts=True)
        if len(unique) != len(present):
            twice = self.labels[int(rows[present == unique[counts > 1][0]][0])]
            raise EvaluationError(
                f"vector cannot contain metrics with the same labelset: {twice} occurs more than once"
            )


@dataclass(frozen=True, slots=True)
class Groups:
    """To which group each row of a table belongs, (rows,), and the groups' own labels."""

    ids: Rows
    table: LabelTable


def numbered(keys: Sequence[Hashable]) -> tuple[Rows, list[int]]:
    """For each key the number of its first occurrence among the distinct ones, and where each of those stands."""
    numbers: dict[Hashable, int] = {}
    firsts: list[int] = []
    ids = np.empty(len(keys), dtype=np.intp)
    for position, key in enumerate(keys):
        number = numbers.setdefault(key, len(firsts))
        if number == len(firsts):
            firsts.append(position)
        ids[position] = number
    return ids, firsts


def grouped(table: LabelTable, key: Hashable, group_of: Callable[[Labels], Labels]) -> Groups:
    """The rows of `table` by what `group_of` makes of their labels; `key` names `group_of`."""

    def make() -> Groups:
        keys = [group_of(labels) for labels in table.labels]
        ids, firsts = numbered(keys)
        return Groups(ids, LabelTable([keys[first] for first in firsts]))

    return table.remember(key, make)


def joined_tables(left: LabelTable, right: LabelTable) -> LabelTable:
    """The rows of `left`, then those of `right`."""

    def make() -> tuple[LabelTable, LabelTable]:
        return right, LabelTable([*left.labels, *right.labels])

    # The other table is kept beside the result: its id stays its own for as long as the key is there.
    return left.remember(("after", id(right)), make)[1]
