"""What becomes of a command: judged, begun, done, and told, once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Final

import structlog

from contracts.diagnoses import RecommendedAction
from contracts.errors import PermanentError, TransientError, WaggleError
from contracts.platform_errors import ChangeTimeoutError, PlatformAwayError
from contracts.recovery import CommandOutcome, RecoveryCommand, RecoveryResult
from messaging.clock import BrokerClock
from messaging.delivery import Delivery
from messaging.errors import BrokerUnavailableError
from messaging.recovery import RecoveryKey, RecoveryResults
from messaging.recovery.pausing import PauseSwitch
from workers.operator.actions import Action, Done
from workers.operator.authentication import require_authentic, require_in_time
from workers.operator.errors import BegunError, RefusedError
from workers.operator.logbook import Logbook
from workers.operator.metrics import CommandMetrics
from workers.operator.pause import require_not_paused

LONGEST_DETAIL: Final = 2000
UNSURE: Final = (TimeoutError, TransientError, PlatformAwayError, ChangeTimeoutError)
"""After these nobody knows whether the action happened, or still does."""

log = structlog.get_logger(__name__)


class Operator:
    """Carries out one command at a time."""

    def __init__(
        self,
        *,
        key: RecoveryKey,
        clock: BrokerClock,
        logbook: Logbook,
        pause: PauseSwitch,
        results: RecoveryResults,
        actions: Mapping[RecommendedAction, Action],
        metrics: CommandMetrics,
    ) -> None:
        self._key = key
        self._clock = clock
        self._logbook = logbook
        self._pause = pause
        self._results = results
        self._actions = actions
        self._metrics = metrics
        self._untold: RecoveryResult | None = None

    async def handle(self, command: RecoveryCommand, delivery: Delivery) -> None:
        """Every command that can be read gets one result; one that has one is over.

        Raises `BrokerUnavailableError`: the same command comes again when the broker is back, and nothing is done twice.
        """
        if await self._results.find(command.id) is not None:
            return
        result = self._untold
        if result is None or result.id != command.id:
            result = self._untold = await self._answer(command, delivery)
        await self._results.publish(result)
        self._untold = None

    async def give_up(self, command: RecoveryCommand, error: PermanentError) -> None:
        """Say of a command that becomes a dead letter that nobody knows."""
        done = Done(detail=f"it may have been done: {error}")
        untold = self._untold if self._untold is not None and self._untold.id == command.id else None
        await self._results.publish(untold or self._result(command, CommandOutcome.UNKNOWN, done, self._clock.now()))

    async def _answer(self, command: RecoveryCommand, delivery: Delivery) -> RecoveryResult:
        began_at, action = self._clock.now(), self._actions[command.action]
        try:
            require_authentic(command, delivery, self._key)
            await self._logbook.heed(command)
            require_in_time(command, self._clock.now())
            footprint = await action.check(command)
            await require_not_paused(self._pause)
            await self._logbook.begin(command, footprint)
            outcome, done = await self._done(action, command, began_at)
        except RefusedError as refused:
            self._metrics.refused(refused.refusal)
            outcome, done = CommandOutcome.REFUSED, Done(detail=str(refused))
            log.warning("command refused", **_told(command), refusal=refused.refusal.value, reason=str(refused))
        except BegunError as begun:
            outcome, done = CommandOutcome.UNKNOWN, await self._settled(action, command, begun.began_at, str(begun))
        self._metrics.ended(command.action, outcome)
        log.info("command over", **_told(command), outcome=outcome.value, detail=done.detail)
        return self._result(command, outcome, done, began_at)

    async def _done(self, action: Action, command: RecoveryCommand, began_at: datetime) -> tuple[CommandOutcome, Done]:
        log.info("command", **_told(command), why=command.reason, token=command.token)
        try:
            async with asyncio.timeout(action.deadline_s):
                return CommandOutcome.DONE, await action.do(command)
        except RefusedError:
            raise
        except UNSURE as error:
            log.exception("a command did not come to its end", **_told(command))
            why = str(error) or f"it took longer than {action.deadline_s:g} s; what was begun may go on"
            return CommandOutcome.UNKNOWN, await self._settled(action, command, began_at, why)
        except Exception as error:
            log.exception("a command went wrong", **_told(command))
            return CommandOutcome.FAILED, Done(detail=f"{type(error).__name__}: {error}")

    async def _settled(self, action: Action, command: RecoveryCommand, began_at: datetime, why: str) -> Done:
        try:
            async with asyncio.timeout(action.deadline_s):
                found = await action.settle(command, began_at)
        except BrokerUnavailableError:
            raise
        except (TimeoutError, WaggleError) as error:
            log.exception("what was broken off could not be looked at", **_told(command))
            found = f"what became of it cannot be seen: {error}"
        return Done(detail=f"it may have been done: {why}; {found}")

    def _result(
        self, command: RecoveryCommand, outcome: CommandOutcome, done: Done, began_at: datetime
    ) -> RecoveryResult:
        return RecoveryResult(
            id=command.id,
            decision=command.decision,
            incident=command.incident,
            action=command.action,
            target=command.target,
            outcome=outcome,
            detail=done.detail[:LONGEST_DETAIL],
            captured=done.captured,
            replicas=done.replicas,
            began_at=began_at,
            token=command.token,
            created_at=self._clock.now(),
            principal="operator",
        )


def _told(command: RecoveryCommand) -> dict[str, str]:
    return {"command": command.id, "action": command.action.value, "target": command.target.name}
