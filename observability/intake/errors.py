"""What the intake refuses.

WaggleError
└── PermanentError
    └── InvalidMessageError
        └── MisaddressedError   the body says otherwise than the subject
"""

from __future__ import annotations

from contracts.errors import InvalidMessageError


class MisaddressedError(InvalidMessageError):
    """A message that says it is somebody else's, or another fact, than its subject does: neither is believed."""
