"""What can go wrong with commands of recovery."""

from __future__ import annotations

from contracts.errors import TransientError


class TargetBusyError(TransientError):
    """Somebody else acts upon the target, or was about to at the same moment; nothing was ordered."""


class NoResultError(TransientError):
    """It is not known yet what became of a command."""
