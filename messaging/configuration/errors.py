"""Why the configuration was not changed."""

from __future__ import annotations

from contracts.errors import PermanentError, TransientError


class ConfigConflictError(PermanentError):
    """Another revision is current than the one that the change was meant for; nothing was changed."""


class NoSuchRevisionError(PermanentError):
    """There is no such revision, or it is not kept any more."""


class ConfigBusyError(TransientError):
    """Others change the configuration all the time; nothing was changed."""


class ConfigUnreadableError(PermanentError):
    """What stands for the current revision is none; nothing is changed until a person has looked."""
