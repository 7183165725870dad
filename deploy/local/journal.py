"""What supervisord wrote down about the ends of programs: over its socket it does not tell all of it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

READ_BYTES = 1024 * 1024
_BEGIN = "supervisord started with pid"
_EVENT = re.compile(
    r"(?:(?P<spawned>spawned): '(?P<new>[^']+)' with pid \d+"
    r"|(?P<how>exited|stopped): (?P<old>\S+) \((?P<reason>.+?)(?:; (?:not )?expected)?\))$",
    re.MULTILINE,
)
_EXIT_STATUS = re.compile(r"exit status (\d+)")


@dataclass(frozen=True, kw_only=True)
class History:
    """How a program fared in this run of the supervisor. `reason` is how it ended last, empty if it never did."""

    restarts: int = 0
    by_itself: bool = False
    """Whether it ended last without having been told to."""
    reason: str = ""

    @property
    def exit_code(self) -> int | None:
        """None if it never ended, or was ended by a signal."""
        found = _EXIT_STATUS.match(self.reason)
        return int(found[1]) if found else None


def histories(log: Path) -> dict[str, History]:
    """By program, as far as the last MiB of supervisord's log tells; empty when there is none."""
    told: dict[str, History] = {}
    for event in _EVENT.finditer(_this_run(log)):
        name = event["new"] or event["old"]
        before = told.get(name, History())
        if event["spawned"]:
            told[name] = replace(before, restarts=before.restarts + before.by_itself)
        else:
            told[name] = replace(before, by_itself=event["how"] == "exited", reason=event["reason"])
    return told


def _this_run(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - READ_BYTES))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return text[max(0, text.rfind(_BEGIN)) :]
