"""What can be wrong with the file of roll-ups.

WaggleError
└── ArchiveError
    ├── ArchiveDamagedError      it is no use any more: damaged, or of another format
    └── ArchiveUnavailableError  it cannot be used now: locked, disk full, no access
"""

from __future__ import annotations

from contracts.errors import WaggleError


class ArchiveError(WaggleError):
    """Base of both. What is in memory is not touched."""


class ArchiveDamagedError(ArchiveError):
    """The file has to be put aside; a new one takes its place."""


class ArchiveUnavailableError(ArchiveError):
    """Nothing was written or read; later it may work again."""
