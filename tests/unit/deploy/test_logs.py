"""What the processes of a stack wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import logs
from deploy.local.layout import Layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(tmp_path)
    made.create()
    for name, text in {"embed-1": "one\ntwo\n", "embed-2": "three\n", "nats": "four\nfi"}.items():
        made.log(name).write_text(text, encoding="utf-8")
    return made


@pytest.mark.parametrize(
    ("service", "names"),
    [(None, ["embed-1", "embed-2", "nats"]), ("embed", ["embed-1", "embed-2"]), ("embed-2", ["embed-2"]), ("x", [])],
)
def test_logs_are_found_by_service_or_process(layout: Layout, service: str | None, names: list[str]) -> None:
    assert logs.programs(layout, service) == names


def test_whole_lines_are_told_with_their_process(layout: Layout) -> None:
    assert list(logs.lines(layout, ["embed-1", "nats"], follow=False)) == [
        ("embed-1", "one"),
        ("embed-1", "two"),
        ("nats", "four"),
    ]


def test_following_goes_on_over_what_is_written_later_and_over_a_rotation(layout: Layout) -> None:
    following = logs.lines(layout, ["nats"], follow=True)
    assert next(following) == ("nats", "four")

    with layout.log("nats").open("a", encoding="utf-8") as log:
        log.write("ve\n")
    assert next(following) == ("nats", "five")

    layout.log("nats").write_text("six\n", encoding="utf-8")
    assert next(following) == ("nats", "six")


def test_the_tail_of_a_log_that_is_not_there_is_empty(layout: Layout) -> None:
    assert logs.tail(layout, "gateway") == ""
    assert logs.tail(layout, "embed-1").endswith("two")
