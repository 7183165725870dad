"""Backups: everything that cannot be made again, in a folder; and the way back into an empty system."""

from __future__ import annotations

from messaging.backup.backup import back_up
from messaging.backup.errors import BackupError, RestoreStalledError
from messaging.backup.format import Manifest
from messaging.backup.progress import Advance, Step
from messaging.backup.restore import Restored, restore
from messaging.backup.waiting import Outcome

__all__ = [
    "Advance",
    "BackupError",
    "Manifest",
    "Outcome",
    "RestoreStalledError",
    "Restored",
    "Step",
    "back_up",
    "restore",
]
