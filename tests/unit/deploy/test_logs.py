"""What the processes of a stack wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local import logs
from deploy.local.layout import Layout
from deploy.local.logs import TAIL_BYTES, RunLogs


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


def write(layout: Layout, program: str, text: str) -> None:
    with layout.log(program).open("a", encoding="utf-8") as log:
        log.write(text)


def test_the_tail_of_a_log_that_is_not_there_is_empty(layout: Layout) -> None:
    assert RunLogs(layout).tail("gateway") == ""


def test_the_tail_begins_where_the_run_began(layout: Layout) -> None:
    run = RunLogs(layout)
    assert run.tail("embed-1") == ""
    write(layout, "embed-1", "three\nfour\n")
    write(layout, "gateway", "one\n")
    assert (run.tail("embed-1"), run.tail("gateway")) == ("three\nfour", "one")


def test_the_tail_of_a_long_log_is_its_end(layout: Layout) -> None:
    run = RunLogs(layout)
    write(layout, "embed-1", "x" * TAIL_BYTES + "three\n")
    assert len(run.tail("embed-1")) == TAIL_BYTES - 1
    assert run.tail("embed-1").endswith("xthree")


@pytest.mark.parametrize("written", ["new\n", "new lines, more than the old file held\n"])
def test_a_log_that_was_rotated_is_all_of_this_run(layout: Layout, written: str) -> None:
    run = RunLogs(layout)
    layout.log("embed-1").rename(layout.logs / "embed-1.log.1")
    write(layout, "embed-1", written)
    assert run.tail("embed-1") == written.strip()


def test_how_a_program_ended_in_an_earlier_run_is_not_how_it_ended_in_this_one(layout: Layout) -> None:
    write(layout, "supervisord", "WARN exited: embed-1 (exit status 2; not expected)\n")
    run = RunLogs(layout)
    assert run.last_exit("embed-1") is None
    write(layout, "supervisord", "WARN exited: embed-1 (exit status 1; not expected)\n")
    assert run.last_exit("embed-1") == 1


def test_the_last_lines_are_as_many_as_were_asked_for(layout: Layout) -> None:
    assert logs.last_lines(layout, "embed-1", 1) == ("two",)
    assert logs.last_lines(layout, "embed-1", 9) == ("one", "two")
    assert logs.last_lines(layout, "gateway", 9) == ()
