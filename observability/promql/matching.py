"""Which series of two vectors belong together, and how the result is labelled."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from observability.promql.errors import EvaluationError
from observability.promql.label_table import LabelTable, Rows, numbered
from observability.promql.labels import EMPTY, METADATA, Labels
from observability.promql.vector import Vector


class Cardinality(StrEnum):
    ONE_TO_ONE = "one-to-one"
    MANY_TO_ONE = "group_left"
    ONE_TO_MANY = "group_right"


@dataclass(frozen=True, slots=True)
class Matching:
    """`on(labels)` or `ignoring(labels)`, and `group_left(included)` or `group_right(included)`."""

    on: bool = False
    labels: tuple[str, ...] = ()
    cardinality: Cardinality = Cardinality.ONE_TO_ONE
    included: tuple[str, ...] = ()

    def key(self, labels: Labels) -> Labels:
        """Series with equal keys match."""
        return labels.only(self.labels) if self.on else labels.without({*self.labels, *METADATA})

    def result(self, many: Labels, one: Labels, *, nameless: bool) -> Labels:
        """The labels of what comes of two matching series."""
        kept = many.without(METADATA) if nameless else many
        if self.cardinality is Cardinality.ONE_TO_ONE:
            kept = kept.only(self.labels) if self.on else kept.without(self.labels)
        return kept.updated({name: one.get(name, "") for name in self.included}) if self.included else kept


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of two tables' rows, numbered in common: equal numbers match."""

    left: Rows
    right: Rows
    count: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Positions in the vector of the "many" side, those of their matches in the "one" side, and the results' labels."""

    many: Rows
    one: Rows
    table: LabelTable
    rows: Rows


def keys(left: LabelTable, right: LabelTable, matching: Matching) -> Keys:
    """Worked out once for each two tables."""

    def make() -> tuple[LabelTable, Keys]:
        of_both = [matching.key(labels) for table in (left, right) for labels in table.labels]
        ids, firsts = numbered(of_both)
        return right, Keys(ids[: len(left)], ids[len(left) :], len(firsts))

    # The other table is kept beside the result: its id stays its own for as long as the key is there.
    return left.remember(("keys", matching.on, matching.labels, id(right)), make)[1]


def pairs(many: Vector, one: Vector, matching: Matching, *, nameless: bool) -> Pairs:
    """The series of `many` that have their match in `one`.

    Raises `EvaluationError` where a series of `many` has several, or results would be told apart by nothing.
    """
    known = keys(many.table, one.table, matching)
    many_keys, one_keys = known.left[many.rows], known.right[one.rows]
    _check_unique(one, one_keys, matching)
    position_of = np.full(known.count, -1, dtype=np.intp)
    position_of[one_keys] = np.arange(len(one_keys))
    partner = position_of[many_keys]
    matched = np.flatnonzero(partner >= 0)
    if matching.cardinality is Cardinality.ONE_TO_ONE and not _are_distinct(many_keys[matched]):
        raise EvaluationError(
            "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
        )
    table, rows = _results(many, one, matched, partner[matched], matching, nameless=nameless)
    found = Pairs(matched, partner[matched], table, rows)
    if matching.cardinality is not Cardinality.ONE_TO_ONE:
        _check_told_apart(found, many_keys[matched])
    return found


def _results(
    many: Vector, one: Vector, many_at: Rows, one_at: Rows, matching: Matching, *, nameless: bool
) -> tuple[LabelTable, Rows]:
    def of_itself(labels: Labels) -> Labels:
        return matching.result(labels, labels, nameless=nameless)

    if not matching.included:
        return many.table.mapped(("result", matching, nameless), of_itself), many.rows[many_at]
    fixed = _fixed_results(many.table, one.table, matching, nameless=nameless)
    if fixed is not None:
        return fixed, many.rows[many_at]
    both = zip(many.rows[many_at].tolist(), one.rows[one_at].tolist(), strict=True)
    labels = [matching.result(many.table.labels[m], one.table.labels[o], nameless=nameless) for m, o in both]
    return LabelTable(labels), np.arange(len(labels), dtype=np.intp)


def _fixed_results(many: LabelTable, one: LabelTable, matching: Matching, *, nameless: bool) -> LabelTable | None:
    """The results of all rows of `many`, worked out once; None where a row has not always the same match."""

    def make() -> tuple[LabelTable, LabelTable | None]:
        known = keys(many, one, matching)
        if not _are_distinct(known.right):
            return one, None
        partner_of = dict(zip(known.right.tolist(), one.labels, strict=True))
        partners = [partner_of.get(key) for key in known.left.tolist()]
        both = zip(many.labels, partners, strict=True)
        return one, LabelTable([matching.result(m, o or EMPTY, nameless=nameless) for m, o in both])

    return many.remember(("results", matching, nameless, id(one)), make)[1]


def _are_distinct(keys: Rows) -> bool:
    # `np.unique` would do, and import masked arrays (6 MB) to see that it was given none.
    ordered = np.sort(keys)
    return not bool((ordered[1:] == ordered[:-1]).any())


def _check_unique(one: Vector, one_keys: Rows, matching: Matching) -> None:
    unique, counts = np.unique(one_keys, return_counts=True)
    if len(unique) == len(one_keys):
        return
    twice = np.flatnonzero(one_keys == unique[counts > 1][0])[:2]
    first, second = sorted(str(one.table.labels[row]) for row in one.rows[twice].tolist())
    side = "left" if matching.cardinality is Cardinality.ONE_TO_MANY else "right"
    group = matching.key(one.table.labels[int(one.rows[twice[0]])])
    raise EvaluationError(
        f"found duplicate series for the match group {group} on the {side} hand-side of the operation: "
        f"[{first}, {second}];many-to-many matching not allowed: matching labels must be unique on one side"
    )


def _check_told_apart(found: Pairs, group: Rows) -> None:
    """Results of one match group may not have equal labels, whether or not a comparison keeps them."""
    ids = found.table.remember("numbers", lambda: numbered(found.table.labels)[0])[found.rows]
    if len(set(zip(group.tolist(), ids.tolist(), strict=True))) != len(ids):
        raise EvaluationError("multiple matches for labels: grouping labels must ensure unique matches")
