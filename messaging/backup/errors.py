"""What can go wrong with backups. Each message says what to do next.

BackupError
├── BackupExistsError       the folder holds a backup, or something else, that would be overwritten
├── BackupInUseError        another process has the folder
├── UnfinishedBackupError   the folder holds no backup that was finished
├── NewerBackupError        a newer release wrote it
├── DamagedBackupError      it is not what was written
├── SystemNotEmptyError     restoring would mix with what is there
└── RestoreStalledError     everything is restored, but documents do not become searchable
"""

from __future__ import annotations

from contracts.errors import WaggleError


class BackupError(WaggleError):
    """Base of all errors of backup and restore."""


class BackupExistsError(BackupError):
    """The folder is not free for a backup; nothing in it was changed."""


class BackupInUseError(BackupError):
    """Another process writes or restores this backup; nothing was done."""


class UnfinishedBackupError(BackupError):
    """There is no backup, or one that was interrupted while it was written; nothing was restored."""


class NewerBackupError(BackupError):
    """The backup has a format that this release does not know; nothing was restored."""


class DamagedBackupError(BackupError):
    """A file of the backup is missing or is not the one that was written."""


class SystemNotEmptyError(BackupError):
    """The broker holds something already; nothing was restored."""


class RestoreStalledError(BackupError):
    """Nothing became searchable for a long time. All data is there; the same restore again goes on waiting."""
