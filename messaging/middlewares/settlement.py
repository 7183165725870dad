"""Turns the end of a handler into an answer to the broker: done, again later, or given up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import nats.errors
import structlog

from contracts.errors import ErrorCode, NotYetError, PermanentError, TransientError, WaggleError
from messaging.attempts import Attempts
from messaging.deadletters import DeadLetters
from messaging.delivery import Incoming, Outcome
from messaging.errors import HandedBackError
from messaging.middlewares.base import Next
from messaging.middlewares.hold import Hold
from messaging.retries import RetryDelays, handler_attempts

OnDeadLetter = Callable[[Any, PermanentError], Awaitable[None]]

NOT_TO_BE_TRUSTED = frozenset({ErrorCode.INVALID_MESSAGE, ErrorCode.TENANT_MISMATCH, ErrorCode.NEWER_SCHEMA})
"""Of such a message nothing may be acted upon: what it names may belong to somebody else."""

log = structlog.get_logger(__name__)


class Settlement:
    """Acknowledges, returns with a delay, or dead-letters, by the class of the error.

    Giving up has a fixed order: `on_dead_letter` (the document or query ends failed), the dead letter, then the end of
    the message. While the broker stores nothing, or is away, the message is held where it is, instead of coming again
    and again; if a step fails for another reason that passes, it is returned and the order starts anew. So each step
    must bear repetition.
    A handler that is cancelled, or whose message is held, because the process ends returns its message at once, which
    counts as no attempt.
    """

    def __init__(
        self,
        letters: DeadLetters,
        attempts: Attempts,
        hold: Hold,
        *,
        delays: RetryDelays,
        on_dead_letter: OnDeadLetter | None,
    ) -> None:
        self._letters = letters
        self._attempts = attempts
        self._hold = hold
        self._delays = delays
        self._on_dead_letter = on_dead_letter

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            await self._settle(incoming, call_next)
        except HandedBackError:
            await self._hand_back(incoming)
        except Exception:  # it could not be settled
            raise
        except BaseException:
            await self._hand_back(incoming)
            raise

    async def _settle(self, incoming: Incoming[Any], call_next: Next) -> None:
        try:
            try:
                await call_next(incoming)
            finally:
                incoming.on_handled()
        except PermanentError as error:
            await self._give_up(incoming, error)
        except Exception as error:  # noqa: BLE001 (whatever a handler raises decides what becomes of its message)
            await self._try_again(incoming, error)
        else:
            await incoming.raw.ack()
            if incoming.outcome is Outcome.UNSETTLED:
                incoming.outcome = Outcome.ACKED

    async def _hand_back(self, incoming: Incoming[Any]) -> None:
        incoming.outcome = Outcome.RETURNED
        try:
            await self._attempts.take_back(incoming.delivery)
        except TransientError as error:
            log.warning("counts as an attempt, although it is handed back", **_where(incoming), reason=str(error))
        try:
            await incoming.raw.nak()
        except nats.errors.Error as error:
            # It comes again after its ack wait; the cancellation must go on.
            log.warning("could not be handed back", **_where(incoming), reason=str(error))

    async def _try_again(self, incoming: Incoming[Any], error: Exception) -> None:
        attempts = await self._hold.until_done(incoming, lambda: self._attempts.begin(incoming.delivery))
        if attempts >= handler_attempts(incoming.consumer):
            exhausted = PermanentError(
                f"failed {attempts} times, the last time with: {error}", code=ErrorCode.RETRIES_EXHAUSTED
            )
            exhausted.__cause__ = error
            await self._give_up(incoming, exhausted)
            return
        self._log(incoming, error)
        await self._return(incoming, error)

    async def _return(self, incoming: Incoming[Any], error: BaseException) -> None:
        await incoming.raw.nak(delay=self._delays.delay_s(error, attempt=incoming.delivery.attempt))
        incoming.outcome = Outcome.POSTPONED if isinstance(error, NotYetError) else Outcome.RETRIED

    async def _give_up(self, incoming: Incoming[Any], error: PermanentError) -> None:
        try:
            await self._hold.until_done(incoming, lambda: self._write_off(incoming, error))
        except Exception as failure:
            log.exception("could not dead-letter, trying again", **_where(incoming), failure=str(failure))
            await self._return(incoming, failure)
            return
        await incoming.raw.term()
        incoming.outcome = Outcome.DEAD_LETTERED
        log.error("dead-lettered", **_where(incoming), code=error.code.value, reason=str(error))

    async def _write_off(self, incoming: Incoming[Any], error: PermanentError) -> None:
        await self._tell(incoming, error)
        attempts = min(await self._attempts.made(incoming.delivery), handler_attempts(incoming.consumer))
        await self._letters.put(incoming.delivery, incoming.raw.data, error, attempts=int(attempts))

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


def _where(incoming: Incoming[Any]) -> dict[str, Any]:
    delivery = incoming.delivery
    return {
        "consumer": delivery.consumer,
        "tenant": delivery.tenant,
        "sequence": delivery.sequence,
        "attempt": delivery.attempt,
    }
