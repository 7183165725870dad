"""Whose something is that fits several cases: each story has its own, however closely one follows another."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Self

from contracts.diagnoses import Cause
from observability.incidents.case import Case
from observability.incidents.standing import ended_at


@dataclass(frozen=True, slots=True)
class Stretch:
    """A case from when it began until it was over; what is recorded later, as that an action was taken back, does not count."""

    case: Case
    began: datetime
    over: datetime
    trouble: tuple[Cause | None, str]
    """The same for incidents of one cause and component, whichever instance it was."""

    @classmethod
    def of(cls, case: Case) -> Self:
        began, ended = case.span
        subjects = case.subjects
        trouble = case.named[1] if case.named else None, subjects[0].component if subjects else ""
        return cls(case, began, ended_at(case) or ended, trouble)


def owners(fitting: Sequence[Stretch], *, starts: datetime, ends: datetime) -> list[Stretch]:
    """Those of the cases that something fits whose own it is, at least one if there is any.

    What ended before a case began is of the earliest that it fits; what began after a case was over is of the later ones that it
    reached; what goes on through the same trouble twice is of the one that it began in. Cases of one time share what
    fits them all.
    """
    if len(fitting) < 2:
        return list(fitting)
    began = sorted(each.began for each in fitting)
    over = defaultdict[tuple[Cause | None, str], list[datetime]](list)
    for each in sorted(fitting, key=lambda each: each.over):
        over[each.trouble].append(each.over)

    def is_own(of: Stretch) -> bool:
        if ends < of.began:
            return of.began == began[0]
        following = bisect_right(began, of.over)
        if starts > of.over and following < len(began) and began[following] <= ends:
            return False
        before = over[of.trouble]
        place = bisect_left(before, starts)
        return not (place < len(before) and before[place] < of.began)

    return [each for each in fitting if is_own(each)]
