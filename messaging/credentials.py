"""What a process shows the broker to be let in."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

from contracts.settings import BrokerSettings
from contracts.settings_source import ConfigurationError, variable


def credentials(settings: BrokerSettings) -> dict[str, Any]:
    """The options of the NATS client for user, password, token, files and TLS.

    Raises `ConfigurationError`, naming the setting, for a file that cannot be used: the client reads most of them only
    once the broker asks, and then says no more than that it is not let in.
    """
    options: dict[str, Any] = {}
    if settings.nats_user is not None:
        options["user"] = settings.nats_user
    if settings.nats_password is not None:
        options["password"] = settings.nats_password.get_secret_value()
    if settings.nats_token is not None:
        options["token"] = settings.nats_token.get_secret_value()
    if settings.nats_credentials is not None:
        options["user_credentials"] = str(_readable("nats_credentials", settings.nats_credentials))
    if settings.nats_nkey_seed is not None:
        options["nkeys_seed"] = str(_readable("nats_nkey_seed", settings.nats_nkey_seed))
    if settings.nats_inbox_prefix is not None:
        options["inbox_prefix"] = settings.nats_inbox_prefix
    tls = _tls(settings)
    return options if tls is None else {**options, "tls": tls}


def _tls(settings: BrokerSettings) -> ssl.SSLContext | None:
    authority, certificate, key = settings.nats_tls_ca, settings.nats_tls_cert, settings.nats_tls_key
    if authority is None and certificate is None:
        return None
    context = _trusting(authority)
    if certificate is not None:
        _readable("nats_tls_cert", certificate)
        if key is not None:
            _readable("nats_tls_key", key)
        try:
            context.load_cert_chain(certificate, key)
        except ssl.SSLError as error:
            raise ConfigurationError(
                f"WAGGLE_NATS_TLS_CERT={certificate} and WAGGLE_NATS_TLS_KEY={key or 'unset'} are no certificate with its "
                f"key ({error.reason or error}): give two PEM files that belong together"
            ) from error
    return context


def _trusting(authority: Path | None) -> ssl.SSLContext:
    if authority is None:
        return ssl.create_default_context()
    _readable("nats_tls_ca", authority)
    try:
        return ssl.create_default_context(cafile=authority)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"WAGGLE_NATS_TLS_CA={authority} holds no certificate ({error.reason or error}): give the authority's, as PEM"
        ) from error


def _readable(field: str, file: Path) -> Path:
    try:
        with file.open("rb"):
            return file
    except OSError as error:
        raise ConfigurationError(f"{variable(field)}={file} cannot be read: {error.strerror}") from error
