"""Pages of lists that are known whole, and cursors."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from gateway.paging import cursor_at, cursor_of, newest_first, position_of
from gateway.problems import Problem

START = datetime(2026, 1, 1, tzinfo=UTC)
Item = tuple[datetime, str]


def at(item: Item) -> Item:
    return item


ITEMS: list[Item] = [(START + timedelta(microseconds=n // 3), f"id-{n:02}") for n in range(20)]


def every(items: list[Item], *, limit: int) -> list[Item]:
    found: list[Item] = []
    cursor = None
    while True:
        page = newest_first(items, at=at, limit=limit, cursor=cursor)
        found += page.items
        cursor = page.next
        if cursor is None:
            return found


@pytest.mark.parametrize("limit", [1, 3, 7, 19, 20, 21])
def test_pages_join_without_gap_or_repeat(limit: int) -> None:
    assert every(ITEMS, limit=limit) == sorted(ITEMS, reverse=True)


def test_what_comes_or_goes_meanwhile_moves_nothing_else() -> None:
    first = newest_first(ITEMS, at=at, limit=5, cursor=None)
    changed = [(START + timedelta(days=1), "new"), *(item for item in ITEMS if item not in first.items[2:])]

    rest = newest_first(changed, at=at, limit=100, cursor=first.next)

    assert [*first.items, *rest.items] == sorted(ITEMS, reverse=True)


@pytest.mark.parametrize("cursor", ["", "x", "é", cursor_at(("a name", "id")), cursor_at((float("nan"), "id")), "7"])
def test_a_foreign_cursor_is_an_invalid_request(cursor: str) -> None:
    with pytest.raises(Problem) as refused:
        newest_first(ITEMS, at=at, limit=1, cursor=cursor)
    assert refused.value.status == 422


@pytest.mark.parametrize("position", [1, 2**63 - 1])
def test_a_position_in_a_stream_is_a_cursor(position: int) -> None:
    assert position_of(cursor_of(position)) == position
    assert (position_of(None), cursor_of(None)) == (0, None)


@pytest.mark.parametrize("cursor", ["", "-1", "1.5", "٣", str(2**63), "9" * 40, "x"])
def test_a_position_that_is_none_is_an_invalid_request(cursor: str) -> None:
    with pytest.raises(Problem):
        position_of(cursor)
