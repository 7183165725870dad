"""Whether a command is the observer's. Nothing else of it is looked at before."""

from __future__ import annotations

from datetime import datetime

from contracts import subjects
from contracts.recovery import RecoveryCommand
from messaging.delivery import Delivery
from messaging.recovery import RecoveryKey
from workers.operator.errors import Refusal, RefusedError


def require_authentic(command: RecoveryCommand, delivery: Delivery, key: RecoveryKey) -> None:
    """Raises `RefusedError` for what is not signed with the key, or came on another target's subject."""
    if command.signature is None:
        raise RefusedError(Refusal.UNSIGNED, "it is not signed: only who has the recovery key gives commands")
    if not key.signed(command):
        raise RefusedError(
            Refusal.WRONG_SIGNATURE,
            "its signature is not that of this operator's key: observer and operator need the same WAGGLE_RECOVERY_KEY_FILE",
        )
    if delivery.subject != subjects.recovery_command(command.target):
        raise RefusedError(Refusal.MISADDRESSED, f"it came on {delivery.subject}, which is not its target's subject")


def require_in_time(command: RecoveryCommand, now: datetime) -> None:
    """Raises `RefusedError` for what came too late; `now` is the broker's time."""
    if command.expires_at <= now:
        raise RefusedError(
            Refusal.EXPIRED, f"it expired at {command.expires_at:%H:%M:%S} UTC: decide anew, and order again"
        )
