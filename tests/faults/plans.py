"""What is to happen at a fault point, and what has happened: files that the harness and its processes share.

A plan is a file named after its point. The process that takes a plan that holds once moves the file away first, so it
happens in one process, once, whatever is started again afterwards.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from contracts.identifiers import new_id

FOLDER_VARIABLE = "WAGGLE_TEST_FAULTS"


class Action(StrEnum):
    KILL = "kill"  # SIGKILL to itself
    STOP = "stop"  # SIGSTOP to itself; the harness continues it
    PAUSE = "pause"  # wait there until the harness releases the point; the process lives on
    RAISE = "raise"  # an error that nobody foresaw


@dataclass(frozen=True, kw_only=True)
class Plan:
    """`let_pass` hits go by first. With `containing` only those count while a message with this text is in hand."""

    point: str
    action: Action = Action.KILL
    let_pass: int = 0
    containing: str = ""
    once: bool = True
    id: str = field(default_factory=new_id)


@dataclass(frozen=True, kw_only=True)
class InHand:
    """A message that a process was working on."""

    stream: str
    consumer: str
    sequence: int


@dataclass(frozen=True, kw_only=True)
class Strike:
    """A plan that was carried out. `at` is seconds since the epoch, just before it happened."""

    plan: str
    point: str
    pid: int
    at: float = field(default_factory=time.time)
    in_hand: tuple[InHand, ...] = ()


class Plans:
    """The folder of plans and strikes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def arm(self, plan: Plan) -> None:
        """From now on, until carried out or disarmed."""
        self._write(self._armed(plan.point), json.dumps(asdict(plan)))

    def disarm(self, point: str) -> None:
        self._armed(point).unlink(missing_ok=True)

    def armed(self, point: str) -> Plan | None:
        try:
            return Plan(**json.loads(self._armed(point).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None

    def claim(self, plan: Plan) -> bool:
        """Whether this process is the one to carry out a plan that holds once."""
        try:
            self._armed(plan.point).rename(self._folder / f"{plan.id}.claimed")
        except FileNotFoundError:
            return False
        return True

    def record(self, strike: Strike) -> None:
        self._write(self._folder / f"{strike.plan}.{strike.pid}.strike", json.dumps(asdict(strike)))

    def strikes(self, plan: Plan) -> list[Strike]:
        """Where and when a plan was carried out, oldest first."""
        return sorted(self._strikes(plan), key=lambda strike: strike.at)

    def release(self, plan: Plan) -> None:
        """Let what is paused go on."""
        (self._folder / f"{plan.id}.released").touch()

    def released(self, plan: Plan) -> bool:
        return (self._folder / f"{plan.id}.released").exists()

    def _strikes(self, plan: Plan) -> Iterator[Strike]:
        for file in self._folder.glob(f"{plan.id}.*.strike"):
            fields = json.loads(file.read_text(encoding="utf-8"))
            in_hand = tuple(InHand(**message) for message in fields.pop("in_hand"))
            yield Strike(**fields, in_hand=in_hand)

    def _armed(self, point: str) -> Path:
        return self._folder / f"{point}.plan"

    def _write(self, file: Path, text: str) -> None:
        """Whole or not at all: others look while we write."""
        partly = file.with_suffix(f"{file.suffix}.partly")
        partly.write_text(text, encoding="utf-8")
        partly.rename(file)
