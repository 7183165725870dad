"""Gives commands to the operator, one for a target at a time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from contracts import subjects, topology
from contracts.errors import WaggleError
from contracts.recovery import LONGEST_ACTION_S, RecoveryCommand, RecoveryResult
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST
from messaging.errors import PublishRefusedError
from messaging.recovery.errors import NoResultError, TargetBusyError
from messaging.recovery.results import RecoveryResults
from messaging.recovery.signing import RecoveryKey
from messaging.storage import Storage, Stored

log = structlog.get_logger(__name__)


class CommandDesk:
    """Everything raises `BrokerUnavailableError` when the broker is away; whether a command was given is then not known, and
    giving it again is right.
    """

    def __init__(self, broker: Broker, key: RecoveryKey) -> None:
        self._broker = broker
        self._key = key
        self._storage = Storage(broker)
        self._results = RecoveryResults(broker)

    async def issue(self, command: RecoveryCommand) -> RecoveryCommand:
        """Sign a command and give it; the one that was given. The same command may be given again.

        Raises `TargetBusyError` when a command to the same target is not over, or another one came first.
        """
        subject = subjects.recovery_command(command.target)
        last = await self._storage.last(topology.OPS.name, subject)
        earlier = self._trusted(last)
        if earlier is not None and earlier.id == command.id:
            return earlier
        if earlier is not None and await self._under_way(earlier):
            raise TargetBusyError(
                f"{earlier.id} ({earlier.action.value} of {earlier.target.name}) is not over: wait for its result"
            )
        return await self._give(self._key.sign(command), subject, last)

    async def result(self, command_id: str, *, timeout_s: float) -> RecoveryResult:
        """What became of a command, as soon as that is known. Raises `NoResultError` after `timeout_s`."""
        subject = subjects.recovery_result(command_id)
        try:
            async with asyncio.timeout(timeout_s):
                async for stored in self._storage.follow(topology.OPS.name, subject):
                    return RecoveryResult.from_bytes(stored.data)
        except TimeoutError:
            pass
        raise NoResultError(
            f"there is no result of {command_id} after {timeout_s:g} s: look whether an operator runs (`waggle status`)"
        )

    async def _give(self, signed: RecoveryCommand, subject: str, last: Stored | None) -> RecoveryCommand:
        try:
            await self._broker.publish(
                subject,
                signed,
                stream=topology.OPS,
                message_id=signed.id,
                headers={HEADER_EXPECTED_LAST: str(last.sequence if last else 0)},
            )
        except PublishRefusedError as error:
            if error.err_code not in ERR_WRONG_LAST:
                raise
        stored = self._trusted(await self._storage.last(topology.OPS.name, subject))
        if stored is None or stored.id != signed.id:
            raise TargetBusyError(
                f"another command to {signed.target.name} came first: {signed.id} was not given. Look at what became of that one"
            )
        return stored

    async def _under_way(self, command: RecoveryCommand) -> bool:
        """Whether it may still be begun, or be in the operator's hands."""
        over_at = command.expires_at + timedelta(seconds=LONGEST_ACTION_S)
        return self._broker.clock.now() <= over_at and await self._results.find(command.id) is None

    def _trusted(self, stored: Stored | None) -> RecoveryCommand | None:
        """A command that was signed with our key; whatever else stands there holds up nobody."""
        if stored is None:
            return None
        try:
            command = RecoveryCommand.from_bytes(stored.data)
        except WaggleError as error:
            log.warning("not a command", subject=stored.subject, reason=str(error))
            return None
        return command if self._key.signed(command) else None
