"""Signatures of webhooks as Standard Webhooks has them: https://www.standardwebhooks.com"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

_PREFIX = "whsec_"
MIN_KEY_BYTES = 16


class SigningKey:
    """The secret that sender and receiver share: base64, with or without `whsec_` before it."""

    def __init__(self, secret: str) -> None:
        try:
            self._key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
        except binascii.Error as error:
            raise ValueError("is not base64, with or without whsec_ before it") from error
        if len(self._key) < MIN_KEY_BYTES:
            raise ValueError(
                f"is shorter than {MIN_KEY_BYTES} bytes; make one with: echo whsec_$(openssl rand -base64 32)"
            )

    def headers(self, message_id: str, at: datetime, body: bytes) -> dict[str, str]:
        """What the receiver checks: who sent it, that it is whole, and that it is not an old one sent again."""
        timestamp = str(int(at.timestamp()))
        signed = hmac.new(self._key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
        return {
            "webhook-id": message_id,
            "webhook-timestamp": timestamp,
            "webhook-signature": f"v1,{base64.b64encode(signed).decode()}",
        }
