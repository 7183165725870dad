"""API keys in the broker: made, listed, revoked and rotated, and known by every gateway within a moment."""

from messaging.api_keys.book import KeyBook, KeyOver, KeyRefusedError, NewKey, NoSuchKeyError, end_of, over
from messaging.api_keys.ring import KeyRing
from messaging.api_keys.text import digest_of, id_of
from messaging.api_keys.uses import KeyUses

__all__ = [
    "KeyBook",
    "KeyOver",
    "KeyRefusedError",
    "KeyRing",
    "KeyUses",
    "NewKey",
    "NoSuchKeyError",
    "digest_of",
    "end_of",
    "id_of",
    "over",
]
