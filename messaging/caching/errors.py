"""What can go wrong between a cache and a server.

TransientError
├── CacheAwayError      no answer in time
└── CacheRefusedError   an answer, and it is no
"""

from __future__ import annotations

from contracts.errors import TransientError


class CacheAwayError(TransientError):
    """The server of a cache does not answer. Questions go on without it; what has to reach it is to be repeated."""


class CacheRefusedError(TransientError):
    """The server of a cache answers, but does not do it (it is full, it forbids the command)."""
