"""Changes the runtime configuration: to the standby and back, or to an earlier revision."""

from __future__ import annotations

from typing import Final

from contracts.backends import GENERATOR, INDEX
from contracts.recovery import OPERATOR, RecoveryCommand
from contracts.runtime_config import APPLIED_BY, ConfigRevision, EndpointClass
from messaging.configuration import ConfigBook, NoSuchRevisionError, Written
from workers.operator.actions.base import Action, Done
from workers.operator.blast_radius import NOTHING_TAKEN, Footprint
from workers.operator.errors import Refusal, RefusedError

RUNTIME: Final = "runtime"
_SWITCHES: Final = {GENERATOR: "active_endpoints", INDEX: "active_index"}
"""The key by which each backend goes to its standby and back."""
_WHAT: Final = {GENERATOR: "{} endpoints are asked first", INDEX: "the index is used at its {} address"}
_LONGEST_BECAUSE: Final = 1024


class Failover(Action):
    """Has the other endpoints of the language model asked first, or the index used at its other address."""

    deadline_s = 30.0

    def __init__(self, book: ConfigBook) -> None:
        self._book = book

    async def check(self, command: RecoveryCommand) -> Footprint:
        switch = _SWITCHES.get(command.target.name)
        if switch is None or command.target.service not in APPLIED_BY[switch]:
            there = " and ".join(f"the {name} of {APPLIED_BY[key][0]}" for name, key in _SWITCHES.items())
            raise RefusedError(
                Refusal.UNKNOWN_TARGET,
                f"{command.target.name} of {command.target.service} has no standby: only {there} may have one",
            )
        _require_unchanged(command, await self._book.current())
        return NOTHING_TAKEN

    async def do(self, command: RecoveryCommand) -> Done:
        wanted = EndpointClass.STANDBY if command.standby else EndpointClass.PRIMARY
        written = await self._book.change(
            {_SWITCHES[command.target.name]: wanted.value},
            principal=OPERATOR,
            because=command.reason[:_LONGEST_BECAUSE],
        )
        return Done(detail=f"{_WHAT[command.target.name].format(wanted.value)}: {_said(written)}")


class Rollback(Action):
    """Makes a revision with the values of an earlier one."""

    deadline_s = 30.0

    def __init__(self, book: ConfigBook) -> None:
        self._book = book

    async def check(self, command: RecoveryCommand) -> Footprint:
        if command.target.name != RUNTIME:
            raise RefusedError(Refusal.UNKNOWN_TARGET, f"{command.target.name} has no revisions: only {RUNTIME} has")
        _require_unchanged(command, await self._book.current())
        return NOTHING_TAKEN

    async def do(self, command: RecoveryCommand) -> Done:
        try:
            written = await self._book.roll_back(
                command.revision, principal=OPERATOR, because=command.reason[:_LONGEST_BECAUSE]
            )
        except NoSuchRevisionError as error:
            raise RefusedError(Refusal.UNKNOWN_TARGET, str(error)) from error
        return Done(detail=f"the values of revision {command.revision} count again: {_said(written)}")


def _require_unchanged(command: RecoveryCommand, current: ConfigRevision | None) -> None:
    """Whoever changed the configuration since the evidence may have mended it."""
    if current is not None and current.created_at > command.evidence_at:
        raise RefusedError(
            Refusal.CHANGED,
            f"revision {current.number} was made by {current.principal} at {current.created_at:%H:%M:%S} UTC, and the evidence "
            "is older",
        )


def _said(written: Written) -> str:
    number = written.revision.number if written.revision else 0
    return f"revision {number}" if written.is_new else f"it was so already (revision {number})"
