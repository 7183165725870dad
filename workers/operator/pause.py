"""Whoever has paused repairs is not acted against, also not by a command that was on its way."""

from __future__ import annotations

from messaging.recovery.pausing import PauseSwitch, PauseUnknownError
from workers.operator.errors import Refusal, RefusedError


async def require_not_paused(switch: PauseSwitch) -> None:
    """Raises `RefusedError` while there is a pause, or one that cannot be read; `BrokerUnavailableError`."""
    try:
        pause = await switch.current()
    except PauseUnknownError as error:
        raise RefusedError(Refusal.PAUSED, str(error)) from error
    if pause is not None:
        raise RefusedError(
            Refusal.PAUSED, f"{pause.by} has paused repairs until {pause.ends_at:%Y-%m-%d %H:%M:%S} UTC: {pause.reason}"
        )
