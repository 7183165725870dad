"""Settings of JSON Web Tokens: whose are believed, and what their claims mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from contracts.api_keys import Scope
from contracts.settings_source import Settings

LEAST_SECRET_BYTES = 32
EXCHANGED = "waggle:keys"
"""Issuer of tokens that API keys are exchanged for."""
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def _is_long(secret: SecretStr | None) -> SecretStr | None:
    bare = secret.get_secret_value().strip() if secret else ""
    if bare and len(bare.encode()) < LEAST_SECRET_BYTES:
        raise ValueError(f"needs {LEAST_SECRET_BYTES} bytes at least: `openssl rand -base64 32` makes some")
    return SecretStr(bare) if bare else None


def _is_safe(source: str | None) -> str | None:
    """Keys that somebody may change on their way are nobody's keys."""
    if source is not None and "://" in source:
        parts = urlsplit(source)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
            raise ValueError("a URL begins with https://")
    return source


class TokenSettings(Settings):
    """Who signs tokens that are taken in place of API keys."""

    jwt_secret: Annotated[SecretStr | None, AfterValidator(_is_long)] = Field(
        default=None,
        description="Secret of HS256 tokens, 32 bytes at least; API keys are exchanged for such. Every gateway has the same.",
        examples=["…"],
    )
    jwt_jwks: Annotated[str | None, AfterValidator(_is_safe)] = Field(
        default=None,
        description="Public keys of who signs tokens (a JSON Web Key Set): a file, or an https URL that is read again now and then.",
        examples=["https://login.example/.well-known/jwks.json"],
    )
    jwt_issuer: str | None = Field(
        default=None, description="Issuer that tokens of these keys name.", examples=["https://login.example/"]
    )
    jwt_audience: str = Field(default="waggle", description="Audience that tokens name.", examples=["waggle"])
    jwt_leeway_s: float = Field(
        default=30.0,
        ge=0,
        le=60,
        description="How far the clock of an issuer may be off, in seconds; 60 at most.",
        examples=[30],
    )
    jwt_tenant_claim: str = Field(
        default="tenant", min_length=1, description="Claim that names the tenant.", examples=["org_id"]
    )
    jwt_scope_claim: str = Field(
        default="scope",
        min_length=1,
        description="Claim that names scopes: a list, or words with spaces between.",
        examples=["groups"],
    )
    jwt_scopes: str = Field(
        default="",
        description="What values of that claim mean, as value=scope+scope, comma separated. Unset: they are scopes.",
        examples=["rag-users=query+read,platform-team=ops+admin"],
    )

    @model_validator(mode="after")
    def _believes_somebody(self) -> Self:
        if self.jwt_jwks is not None and self.jwt_issuer is None:
            raise ValueError("WAGGLE_JWT_JWKS needs WAGGLE_JWT_ISSUER: keys of a provider sign for others, too")
        if self.jwt_issuer == EXCHANGED:
            raise ValueError(f"WAGGLE_JWT_ISSUER: {EXCHANGED} is the name of tokens that API keys are exchanged for")
        _ = self.scopes_by_value
        return self

    @property
    def scopes_by_value(self) -> Mapping[str, frozenset[Scope]]:
        """What each value of the claim means. Raises `ValueError`."""
        if not self.jwt_scopes.strip():
            return {scope.value: frozenset({scope}) for scope in Scope}
        found = {}
        for part in self.jwt_scopes.split(","):
            value, equals, names = part.rpartition("=")
            value = value.strip()
            if not equals or not value:
                raise ValueError(f"WAGGLE_JWT_SCOPES: {part.strip()!r} is not value=scope+scope")
            try:
                found[value] = frozenset(Scope(name.strip()) for name in names.split("+"))
            except ValueError:
                known = ", ".join(Scope)
                raise ValueError(f"WAGGLE_JWT_SCOPES: {names!r} are no scopes; there are: {known}") from None
        return found
