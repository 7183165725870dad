"""Settings that are changed while everything runs, in numbered revisions.

ConfigBook       reads, changes and goes back: the gateway
ConfigClerk      tells of every revision and keeps it, whoever made it: the gateway
ConfigFollower   has a process work by the current revision
ConfigDuty       a follower in a worker
"""

from messaging.configuration.book import ConfigBook, Written
from messaging.configuration.clerk import ConfigClerk
from messaging.configuration.duty import ConfigDuty
from messaging.configuration.errors import (
    ConfigConflictError,
    ConfigUnreadableError,
    NoSuchRevisionError,
)
from messaging.configuration.following import ConfigFollower

__all__ = [
    "ConfigBook",
    "ConfigClerk",
    "ConfigConflictError",
    "ConfigDuty",
    "ConfigFollower",
    "ConfigUnreadableError",
    "NoSuchRevisionError",
    "Written",
]
