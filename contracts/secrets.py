"""Secrets as they travel."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, SecretStr


def _fits_a_header(key: SecretStr | None) -> SecretStr | None:
    """Files of secrets end in a newline as a rule; anything else that no header can carry is a mistake."""
    bare = key.get_secret_value().strip() if key else ""
    if not bare.isascii() or not bare.isprintable() or " " in bare:
        raise ValueError("has characters that no key has: spaces, newlines or signs beyond ASCII")
    return SecretStr(bare) if bare else None


ApiKey = Annotated[SecretStr | None, AfterValidator(_fits_a_header)]
"""The key that a server asks for; an empty one is none."""
