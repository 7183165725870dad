"""The channels of the file: through what somebody is told, and where it is."""

from __future__ import annotations

import ssl
from email.headerregistry import Address
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field, StringConstraints, field_validator, model_validator

from observability.notifications.configuration.base import Part
from observability.notifications.configuration.durations import Duration
from observability.notifications.configuration.secrets import Secret, SecretReference
from observability.notifications.errors import SecretMissingError

MAX_RECIPIENTS = 50
MAX_APPRISE_URLS = 16


class ChannelModel(Part):
    """What every channel has."""

    forgets: ClassVar[bool] = False
    """Whether the receiver forgets what it is not told again at every turn of a group."""

    send_resolved: bool = True
    timeout: Duration = Field(default="10s", validate_default=True)
    """How long one attempt may take."""

    @field_validator("timeout")
    @classmethod
    def _in_range(cls, timeout: Any) -> Any:
        if not 0.1 <= timeout.total_seconds() <= 120:
            raise ValueError("must be from 100ms to 2m")
        return timeout

    @property
    def connect_timeout_s(self) -> float:
        """How long one address may take to answer at all; what is given up then was not sent, without doubt."""
        return self.timeout.total_seconds() / 2

    @property
    def secrets(self) -> tuple[SecretReference, ...]:
        """Every secret that it needs."""
        values = (getattr(self, name) for name in type(self).model_fields)
        flat = (item for value in values for item in (value if isinstance(value, tuple) else (value,)))
        return tuple(item for item in flat if isinstance(item, SecretReference))


def require_http_url(text: str) -> str:
    """An address that begins with http:// or https:// and holds no user name. Raises `ValueError` and quotes nothing."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname or any(c.isspace() or c < " " for c in text):
        raise ValueError("is not an address that begins with http:// or https://")
    if "@" in parts.netloc:
        raise ValueError("holds a user name or password: those are given on their own, as secrets")
    if parts.fragment:
        raise ValueError("has a #, which is never sent")
    try:
        usable = parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError("has a port that is not one of 1 to 65535")
    return text


def _url_or_secret(value: Any) -> Any:
    if isinstance(value, str):
        require_http_url(value)
        if urlsplit(value).query:
            raise ValueError("has a ?, behind which there may be a secret: give it as {env: NAME} or {file: /path}")
    return value


Url = Annotated[str | SecretReference, BeforeValidator(_url_or_secret)]
"""An address, or where one is that is itself a secret."""


def address_of(url: str | SecretReference) -> str:
    """The address. Raises `SecretMissingError` when it is not there, or is none."""
    if isinstance(url, str):
        return url
    try:
        return require_http_url(url.read())
    except ValueError as error:
        raise SecretMissingError(f"what is in {url} {error}") from error


class SmtpSecurity(StrEnum):
    STARTTLS = "starttls"
    """Encrypted after the greeting, or not at all used: a server without it is refused."""
    TLS = "tls"
    NONE = "none"


_PORTS = {SmtpSecurity.STARTTLS: 587, SmtpSecurity.TLS: 465, SmtpSecurity.NONE: 25}


def _mail_address(value: Any) -> Any:
    if not isinstance(value, str) or len(value) > 320 or any(ord(c) < 32 for c in value):
        raise ValueError("is not a mail address")
    try:
        parsed = Address(addr_spec=value)
    except Exception as error:  # its parser raises whatever it trips over
        raise ValueError(f"{value!r} is not a mail address such as oncall@example.org") from error
    if not parsed.username or not parsed.domain:
        raise ValueError(f"{value!r} is not a mail address such as oncall@example.org")
    return value


MailAddress = Annotated[str, BeforeValidator(_mail_address)]


class EmailModel(ChannelModel):
    """A mail server that takes messages for some recipients."""

    kind: Literal["email"]
    host: Annotated[str, StringConstraints(min_length=1, max_length=253, pattern=r"^[A-Za-z0-9._:-]+$")]
    port: int | None = Field(default=None, ge=1, le=65535)
    tls: SmtpSecurity = SmtpSecurity.STARTTLS
    tls_ca: Path | None = None
    user: str | None = Field(default=None, max_length=320)
    password: Secret | None = None
    sender: MailAddress
    to: tuple[MailAddress, ...] = Field(min_length=1, max_length=MAX_RECIPIENTS)

    @model_validator(mode="after")
    def _no_password_in_the_clear(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password are given together")
        if self.password is not None and self.tls is SmtpSecurity.NONE:
            raise ValueError("tls: none would send the password in the clear; use starttls or tls")
        return self

    @property
    def server_port(self) -> int:
        return self.port or _PORTS[self.tls]

    def tls_context(self) -> ssl.SSLContext:
        """Trusts what the system trusts, or `tls_ca` alone."""
        return ssl.create_default_context(cafile=self.tls_ca)


class SlackModel(ChannelModel):
    """An incoming webhook of Slack."""

    kind: Literal["slack"]
    url: Secret
    """Whoever knows it can post, so it is a secret."""


class WebhookModel(ChannelModel):
    """Any HTTP server: Alertmanager's payload, version 4, signed as Standard Webhooks has it where there is a `secret`."""

    kind: Literal["webhook"]
    url: Url
    secret: Secret | None = None
    bearer_token: Secret | None = None
    max_alerts: int = Field(default=500, ge=1, le=500)


class AlertmanagerModel(ChannelModel):
    """An Alertmanager, which then groups, silences and tells on its own."""

    forgets: ClassVar[bool] = True

    kind: Literal["alertmanager"]
    url: Url
    """Where it begins, without `/api/v2/alerts`."""
    user: str | None = Field(default=None, max_length=320)
    password: Secret | None = None
    bearer_token: Secret | None = None

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password are given together")
        if self.password is not None and self.bearer_token is not None:
            raise ValueError("either password or bearer_token")
        return self


class AppriseModel(ChannelModel):
    """One of the services that the library apprise knows; needs the extra `apprise`."""

    kind: Literal["apprise"]
    urls: tuple[Secret, ...] = Field(min_length=1, max_length=MAX_APPRISE_URLS)
    """Apprise's addresses hold tokens, so each is a secret."""


Channel = Annotated[
    EmailModel | SlackModel | WebhookModel | AlertmanagerModel | AppriseModel, Field(discriminator="kind")
]
