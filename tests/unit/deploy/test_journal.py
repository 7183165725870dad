"""How programs ended, from the log of a supervisor."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploy.local.journal import READ_BYTES, History, histories

BEGIN = "2026-01-01 00:00:00,000 INFO supervisord started with pid 7\n"


def spawned(name: str) -> str:
    return f"2026-01-01 00:00:01,000 INFO spawned: '{name}' with pid 12\n"


def ended(how: str, name: str, why: str) -> str:
    return f"2026-01-01 00:00:02,000 WARN {how}: {name} ({why})\n"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "supervisord.log"


def test_without_a_log_nothing_is_known(log: Path) -> None:
    assert histories(log) == {}


def test_what_ended_by_itself_and_was_started_again_counts(log: Path) -> None:
    died = ended("exited", "embed-1", "terminated by SIGKILL (core dumped); not expected")
    log.write_text(BEGIN + spawned("embed-1") + died + spawned("embed-1") + died, encoding="utf-8")

    told = histories(log)["embed-1"]

    assert told == History(restarts=1, by_itself=True, reason="terminated by SIGKILL (core dumped)")
    assert told.exit_code is None


def test_what_was_stopped_and_started_does_not_count(log: Path) -> None:
    stopped = ended("stopped", "embed-1", "exit status 0")
    log.write_text(BEGIN + spawned("embed-1") + stopped + spawned("embed-1"), encoding="utf-8")

    told = histories(log)["embed-1"]

    assert (told.restarts, told.by_itself, told.exit_code) == (0, False, 0)


def test_what_an_earlier_run_wrote_does_not_count(log: Path) -> None:
    died = ended("exited", "embed-1", "exit status 1; not expected")
    log.write_text(spawned("embed-1") + died + spawned("embed-1") + BEGIN + spawned("embed-1"), encoding="utf-8")

    assert histories(log)["embed-1"] == History()


def test_of_a_long_log_the_end_is_read(log: Path) -> None:
    died = ended("exited", "embed-1", "exit status 1; not expected")
    log.write_text(BEGIN + died + "x" * READ_BYTES + "\n" + died, encoding="utf-8")

    assert histories(log)["embed-1"].exit_code == 1
