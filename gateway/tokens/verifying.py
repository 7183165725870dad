"""Decides whether a token is to be believed, and what it says of who shows it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import jwt
import structlog
from jwt.exceptions import PyJWTError

from contracts.api_keys import ApiKey, Scope
from contracts.identifiers import TOKEN
from contracts.token_settings import EXCHANGED, TokenSettings
from gateway.tokens.jwks import SigningKeys
from gateway.tokens.minting import HS256, KEY_CLAIM

MOST_CHARACTERS: Final = 8192
_REQUIRED: Final = ["exp", "iss", "aud", "sub"]
MOST_SUBJECT: Final = 200

log = structlog.get_logger(__name__)

Believed = tuple[str, str, frozenset[Scope]]
"""Tenant, principal and scopes."""


class Verifier:
    """Of tokens with the settings' secret, and of such as a provider's keys have signed. Nothing else is believed, least of all
    what a token says of how it is to be checked.

    `key_in_force` tells of an API key whether it opens anything now: a token that a key was exchanged for ends with it.
    """

    def __init__(
        self, settings: TokenSettings, *, keys: SigningKeys | None, key_in_force: Callable[[str], ApiKey | None]
    ) -> None:
        self._settings = settings
        self._keys = keys
        self._key_in_force = key_in_force
        self._meanings = settings.scopes_by_value
        self._secret = settings.jwt_secret.get_secret_value() if settings.jwt_secret else None

    async def believed(self, token: str) -> Believed | None:
        """What a token says; None: it is not to be believed, for whatever reason.

        Raises `SignersUnknownError` while the keys of its signer were never read.
        """
        if len(token) > MOST_CHARACTERS or not token.isascii():
            return None
        try:
            head = jwt.get_unverified_header(token)
            if head.get("alg") == HS256:
                return None if self._secret is None else self._ours(token, self._secret)
            return await self._theirs(token, head)
        except (PyJWTError, ValueError, TypeError, RecursionError) as error:
            log.debug("a token is not believed", reason=type(error).__name__)
            return None

    def _ours(self, token: str, secret: str) -> Believed | None:
        claims = jwt.decode(
            token,
            secret,
            algorithms=[HS256],
            issuer=[EXCHANGED, *([self._settings.jwt_issuer] if self._settings.jwt_issuer else [])],
            audience=self._settings.jwt_audience,
            leeway=self._settings.jwt_leeway_s,
            options={"require": _REQUIRED},
        )
        if claims["iss"] == EXCHANGED:
            return self._of_key(claims)
        return self._read(claims)

    async def _theirs(self, token: str, head: Mapping[str, Any]) -> Believed | None:
        key_id = head.get("kid")
        if self._keys is None or not isinstance(key_id, str):
            return None
        key = await self._keys.find(key_id)
        if key is None:
            return None
        claims = jwt.decode(
            token,
            key,
            algorithms=[key.algorithm_name],
            issuer=self._settings.jwt_issuer,
            audience=self._settings.jwt_audience,
            leeway=self._settings.jwt_leeway_s,
            options={"require": _REQUIRED},
        )
        return self._read(claims)

    def _of_key(self, claims: Mapping[str, Any]) -> Believed | None:
        """A token that was exchanged for a key says no more than the key does now. Its end is by our own clocks: no leeway."""
        if claims["exp"] <= time.time():
            return None
        key = self._key_in_force(str(claims.get(KEY_CLAIM, "")))
        if key is None:
            return None
        words = str(claims.get("scope", "")).split()
        return key.tenant, f"key:{key.id}", frozenset(scope for scope in key.allows if scope.value in words)

    def _read(self, claims: Mapping[str, Any]) -> Believed | None:
        tenant, subject = claims.get(self._settings.jwt_tenant_claim), claims["sub"]
        if not isinstance(tenant, str) or TOKEN.fullmatch(tenant) is None:
            return None
        if not isinstance(subject, str) or not 0 < len(subject) <= MOST_SUBJECT or not subject.isprintable():
            return None
        named = claims.get(self._settings.jwt_scope_claim, [])
        words = named.split() if isinstance(named, str) else named if isinstance(named, list) else []
        meant = [self._meanings.get(word, frozenset()) for word in words if isinstance(word, str)]
        return tenant, f"jwt:{subject}", frozenset[Scope]().union(*meant)
