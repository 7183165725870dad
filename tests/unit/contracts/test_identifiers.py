"""Identifiers, and what they tell."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.identifiers import new_id, time_of


def test_an_id_tells_when_it_was_made() -> None:
    before = datetime.now(UTC) - timedelta(milliseconds=1)

    told = time_of(new_id())

    assert told is not None
    assert before <= told <= datetime.now(UTC)


@pytest.mark.parametrize("id", ["", "mine-7", "0" * 25, "z" * 26, "é" * 26, "U" * 26])
def test_what_is_no_ulid_tells_nothing(id: str) -> None:
    assert time_of(id) is None
