"""What the operator remembers of what it did."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from pydantic import AwareDatetime, Field

from contracts.identifiers import Token
from contracts.message import Message, Value
from contracts.recovery import RecoveryCommand, TargetKind
from workers.operator.errors import BegunError, Refusal, RefusedError

MOST_REMEMBERED: Final = 64
"""Of the commands that were begun, the newest: far more than can be within a window, or come again."""


class Begun(Value):
    """A command that was begun, and how many running instances it took away."""

    command: Token
    takes: Token
    """The same for the same instance; a service that is scaled down loses others each time."""
    service: Token
    taken: int = Field(ge=0)
    at: AwareDatetime


class OperatorRecord(Message):
    """The highest fencing token that was seen, and the commands that were begun, oldest first.

    Tokens are revisions of the bucket `leases`: with another bucket, made at another time, they begin anew.
    """

    token: int = Field(default=0, ge=0)
    leases_made_at: AwareDatetime
    begun: tuple[Begun, ...] = ()

    def heeding(self, command: RecoveryCommand, leases_made_at: datetime) -> OperatorRecord:
        """With the command's token, unless it is older. Raises `RefusedError` then."""
        token = self.token if leases_made_at == self.leases_made_at else 0
        if command.token < token:
            raise RefusedError(
                Refusal.OLDER_TOKEN, f"its token {command.token} is older than {token}: another observer leads by now"
            )
        return self.model_copy(update={"token": command.token, "leases_made_at": leases_made_at})

    def require_not_begun(self, command: RecoveryCommand) -> None:
        """Raises `BegunError`."""
        for each in self.begun:
            if each.command == command.id:
                raise BegunError(f"it was begun at {each.at:%H:%M:%S} UTC, and broken off", began_at=each.at)

    def beginning(self, command: RecoveryCommand, *, taken: int, at: datetime) -> OperatorRecord:
        """With a command that is about to be carried out."""
        begun = Begun(command=command.id, takes=takes(command), service=command.target.service, taken=taken, at=at)
        return self.model_copy(update={"begun": (*self.begun, begun)[-MOST_REMEMBERED:]})


def takes(command: RecoveryCommand) -> str:
    """What stands for that which a command takes away."""
    return command.target.key if command.target.kind is TargetKind.INSTANCE else command.id
