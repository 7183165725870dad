"""Which worker an order is for."""

from __future__ import annotations

import pytest

from cli.control import chosen
from cli.exits import CommandError, Exit

HEARD = [("embed", "embed-1"), ("embed", "embed-2"), ("generate", "shared"), ("retrieve", "shared")]


@pytest.mark.parametrize(
    ("named", "found"),
    [
        ("embed-1", ("embed", "embed-1")),
        ("embed/embed-2", ("embed", "embed-2")),
        ("retrieve/shared", ("retrieve", "shared")),
    ],
)
def test_one_is_meant_by_its_name(named: str, found: tuple[str, str]) -> None:
    assert chosen(named, HEARD) == found


@pytest.mark.parametrize(
    ("named", "message", "hint"),
    [
        ("shared", "shared may be any of generate/shared, retrieve/shared", "Name it with its service."),
        ("embd-1", "nobody who runs is called embd-1", "There are: embed-1, embed-2"),
        ("embed", "nobody who runs is called embed", "There are: embed-2, embed-1"),
        ("zzz", "nobody who runs is called zzz", "There are: embed-1, embed-2, shared"),
        ("", "nobody who runs is called ", "There are: embed-1, embed-2, shared"),
        ("*", "nobody who runs is called *", "There are: embed-1, embed-2, shared"),
        ("ingest/embed-1", "nobody who runs is called ingest/embed-1", "There are: embed-1, embed-2"),
    ],
)
def test_any_other_name_is_refused_with_those_that_are_near(named: str, message: str, hint: str) -> None:
    with pytest.raises(CommandError) as raised:
        chosen(named, HEARD)
    assert (raised.value.message, raised.value.hint, raised.value.code) == (message, hint, Exit.USAGE)


def test_where_nobody_is_heard_that_is_said() -> None:
    with pytest.raises(CommandError, match="nobody is called embed-1") as raised:
        chosen("embed-1", [])
    assert "waggle up" in raised.value.hint
