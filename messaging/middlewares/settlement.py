"""Turns the end of a handler into an answer to the broker: done, again later, or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import structlog

from contracts.errors import ErrorCode, PermanentError, TransientError, WaggleError
from messaging.deadletters import DeadLetters
from messaging.delivery import Incoming, Outcome
from messaging.errors import HandedBackError
from messaging.middlewares.base import Next
from messaging.retries import RetryDelays, handler_attempts

OnDeadLetter = Callable[[Any, PermanentError], Awaitable[None]]

NOT_TO_BE_TRUSTED = frozenset({ErrorCode.INVALID_MESSAGE, ErrorCode.TENANT_MISMATCH, ErrorCode.NEWER_SCHEMA})
"""Of such a message nothing may be acted upon: what it names may belong to somebody else."""

log = structlog.get_logger(__name__)


class Settlement:
    """Acknowledges, returns with a delay, or dead-letters, by the class of the error.

    Giving up has a fixed order: `on_dead_letter` (the document or query ends failed), the dead letter, then the end of
    the message. If a step fails for a reason that passes, the message is returned and the order starts anew, so each step must bear repetition.
    A handler that is cancelled, or whose message is held, because the process ends returns its message at once.
    """

    def __init__(self, letters: DeadLetters, *, delays: RetryDelays, on_dead_letter: OnDeadLetter | None) -> None:
        self._letters = letters
        self._delays = delays
        self._on_dead_letter = on_dead_letter

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            await call_next(incoming)
        except PermanentError as error:
            await self._give_up(incoming, error)
        except HandedBackError:
            await self._hand_back(incoming)
        except Exception as error:  # noqa: BLE001 (whatever a handler raises decides what becomes of its message)
            await self._try_again(incoming, error)
        except BaseException:
            await self._hand_back(incoming)
            raise
        else:
            await incoming.raw.ack()
            if incoming.outcome is Outcome.UNSETTLED:
                incoming.outcome = Outcome.ACKED

    async def _hand_back(self, incoming: Incoming[Any]) -> None:
        incoming.outcome = Outcome.RETURNED
        try:
            await incoming.raw.nak()
        except nats.errors.Error as error:  # it comes again after its ack wait; the cancellation must go on
            log.warning("could not be handed back", **_where(incoming), reason=str(error))

    async def _try_again(self, incoming: Incoming[Any], error: Exception) -> None:
        attempt = incoming.delivery.attempt
        if attempt >= handler_attempts(incoming.consumer):
            exhausted = PermanentError(
                f"failed {attempt} times, the last time with: {error}", code=ErrorCode.RETRIES_EXHAUSTED
            )
            exhausted.__cause__ = error
            await self._give_up(incoming, exhausted)
            return
        self._log(incoming, error)
        await self._return(incoming, error)

    async def _return(self, incoming: Incoming[Any], error: BaseException) -> None:
        await incoming.raw.nak(delay=self._delays.delay_s(error, attempt=incoming.delivery.attempt))
        incoming.outcome = Outcome.RETRIED

    async def _give_up(self, incoming: Incoming[Any], error: PermanentError) -> None:
        try:
            await self._tell(incoming, error)
            await self._letters.put(incoming.delivery, incoming.raw.data, error, attempts=_attempts(incoming))
        except Exception as failure:
            log.exception("could not dead-letter, trying again", **_where(incoming), failure=str(failure))
            await self._return(incoming, failure)
            return
        await incoming.raw.term()
        incoming.outcome = Outcome.DEAD_LETTERED
        log.error("dead-lettered", **_where(incoming), code=error.code.value, reason=str(error))

    async def _tell(self, incoming: Incoming[Any], error: PermanentError) -> None:
        if self._on_dead_letter is None or incoming.message is None or error.code in NOT_TO_BE_TRUSTED:
            return
        try:
            await self._on_dead_letter(incoming.message, error)
        except PermanentError as refusal:  # no repetition will change that, and the letter must not wait for it
            log.error("nobody to tell of a dead letter", **_where(incoming), reason=str(refusal))  # noqa: TRY400

    def _log(self, incoming: Incoming[Any], error: Exception) -> None:
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            log.info("put back for later", **_where(incoming), reason=str(error), in_s=round(error.retry_after_s, 1))
            return
        log.warning(
            "failed, will be tried again",
            **_where(incoming),
            error=type(error).__name__,
            reason=str(error),
            exc_info=None if isinstance(error, WaggleError) else error,
        )


def _attempts(incoming: Incoming[Any]) -> int:
    """How often the handler was given the message."""
    return int(min(incoming.delivery.attempt, handler_attempts(incoming.consumer)))


def _where(incoming: Incoming[Any]) -> dict[str, Any]:
    delivery = incoming.delivery
    return {
        "consumer": delivery.consumer,
        "tenant": delivery.tenant,
        "sequence": delivery.sequence,
        "attempt": delivery.attempt,
    }
