"""Who is behind what a request shows: an API key, or a token in its place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from contracts.gateway_settings import Auth, GatewaySettings
from gateway import problems
from gateway.identity import Identity
from messaging.api_keys import KeyBook, KeyRing, KeyUses
from messaging.broker import Broker

if TYPE_CHECKING:
    from gateway.tokens import Mint, SigningKeys, Verifier

FETCH_S: Final = 5.0


@dataclass(frozen=True, kw_only=True)
class Admittance:
    """Without settings of tokens only keys are known. `works` have to be run; where nobody shows a key there are none."""

    keys: KeyBook
    ring: KeyRing
    uses: KeyUses
    verifier: Verifier | None = None
    mint: Mint | None = None
    works: tuple[KeyRing | KeyUses | SigningKeys, ...] = ()

    async def admit(self, shown: str) -> Identity | None:
        """Who shows this, if it opens anything now. Raises a 503 problem where nobody can tell yet."""
        if (key := self.ring.find(shown)) is not None:
            self.uses.note(key.id)
            return Identity(tenant=key.tenant, principal=f"key:{key.id}", scopes=frozenset(key.scopes), key=key.id)
        return None if self.verifier is None else await _behind(self.verifier, shown)

    def rate_limit(self, identity: Identity) -> str | None:
        """The limit of its own that the key behind an identity has, also behind a token that it was exchanged for."""
        kind, _, key_id = identity.principal.partition(":")
        key = self.ring.in_force(key_id) if kind == "key" else None
        return None if key is None else key.rate_limit


async def _behind(verifier: Verifier, token: str) -> Identity | None:
    from gateway.tokens import SignersUnknownError

    try:
        believed = await verifier.believed(token)
    except SignersUnknownError:
        raise problems.unavailable("The keys that sign tokens cannot be read yet; nothing was accepted.") from None
    if believed is None:
        return None
    tenant, principal, scopes = believed
    return Identity(tenant=tenant, principal=principal, scopes=scopes)


@asynccontextmanager
async def admittance(settings: GatewaySettings, broker: Broker) -> AsyncIterator[Admittance]:
    """By what the settings believe. Whoever takes no tokens loads nothing that reads them."""
    keys = KeyBook(broker)
    ring, uses = KeyRing(broker), KeyUses(broker, keys)
    works = (ring, uses) if settings.auth is Auth.KEYS else ()
    if not works or (settings.jwt_secret is None and settings.jwt_jwks is None):
        yield Admittance(keys=keys, ring=ring, uses=uses, works=works)
        return
    import httpx

    from gateway.tokens import Mint, SigningKeys, Verifier

    async with httpx.AsyncClient(timeout=FETCH_S, follow_redirects=False, trust_env=False) as client:
        signers = None if settings.jwt_jwks is None else SigningKeys(settings.jwt_jwks, client=client)
        secret = settings.jwt_secret
        yield Admittance(
            keys=keys,
            ring=ring,
            uses=uses,
            works=works if signers is None else (*works, signers),
            verifier=Verifier(settings, keys=signers, key_in_force=ring.in_force),
            mint=None if secret is None else Mint(secret.get_secret_value(), audience=settings.jwt_audience),
        )
