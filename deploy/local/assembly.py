"""Puts a local stack together from the settings."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path

from contracts.gateway_settings import Auth
from contracts.settings import AllSettings, BrokerSettings
from deploy.local import ports
from deploy.local.access import BrokerAccess
from deploy.local.addresses import Addresses
from deploy.local.capacity import most_replicas
from deploy.local.errors import StackError
from deploy.local.layout import Layout, layout_of
from deploy.local.nats_server import NatsServerError
from deploy.local.programs import OBSERVER, OPERATOR, SERVICES, Fleet
from deploy.local.stack import LocalStack, broker_command

NATS_PORT = 4222
CONNECT_S = 30.0


def assemble(
    settings: AllSettings,
    *,
    replicas: Mapping[str, int] | None = None,
    port: int | None = None,
    nats_port: int = NATS_PORT,
    connect_s: float = CONNECT_S,
) -> LocalStack:
    """The stack that these settings describe; a port of 0 takes a free one. `connect_s` is how long a broker is waited for.

    With `WAGGLE_NATS_URL` set it uses that broker, otherwise it runs one of its own. Raises `StackError` when it would
    and there is no nats-server, `ConfigurationError` for more replicas than there may be.
    """
    layout = layout_of(settings)
    addresses = _addresses(settings, port=settings.gateway_port if port is None else port, nats_port=nats_port)
    own_broker = addresses.nats_port is not None
    access = BrokerAccess(layout) if own_broker else None
    fleet = Fleet(
        drain_timeout_s=settings.drain_timeout_s,
        replicas=replicas or {},
        most_replicas=most_replicas(settings.max_replicas, replicas or {}),
        broker_command=_broker_command(layout) if own_broker else None,
        # Several hosts may share a broker that is not ours: their processes must not be taken for one another.
        host_prefix="" if own_broker else f"{_host()}-",
        encoder_threads=settings.encoder_threads,
        recovery_key=(settings.recovery_key_file or layout.recovery_key).absolute(),
        access=access.environments() if access else {},
    )
    return LocalStack(
        layout,
        fleet=fleet,
        addresses=addresses,
        environment=_environment(settings, layout, addresses),
        access=access,
        provision=lambda: _prepare(
            _broker_settings(access, addresses),
            connect_s,
            own_key=None if settings.recovery_key_file else layout.recovery_key,
            admin_key=layout.admin_key if settings.auth is Auth.KEYS else None,
        ),
    )


def replicas_of(options: list[str]) -> dict[str, int]:
    """`["embed=2"]` as `{"embed": 2}`; a stack may also have no observer and no operator. Raises `ValueError` saying what is
    wrong.
    """
    known = (*SERVICES, "keeper", OBSERVER, OPERATOR)
    counts: dict[str, int] = {}
    for option in options:
        service, _, count = option.partition("=")
        least = 0 if service in {OBSERVER, OPERATOR} else 1
        if service not in known or not count.isdecimal() or not least <= int(count) <= 64:
            raise ValueError(f"{option!r} is not SERVICE=COUNT, for example embed=2; services: {', '.join(known)}")
        counts[service] = int(count)
    return counts


def _addresses(settings: AllSettings, *, port: int, nats_port: int) -> Addresses:
    external = "nats_url" in settings.model_fields_set
    own = None if external else (nats_port or ports.free_port())
    return Addresses(
        host=settings.gateway_host,
        gateway_port=port or ports.free_port(settings.gateway_host),
        nats_url=settings.nats_url if external else f"nats://127.0.0.1:{own}",
        nats_port=own,
    )


def _environment(settings: AllSettings, layout: Layout, addresses: Addresses) -> dict[str, str]:
    index = settings.index_path.absolute() if "index_path" in settings.model_fields_set else layout.index
    return {
        "WAGGLE_DATA_DIR": str(layout.data_dir),
        "WAGGLE_INDEX_PATH": str(index),
        "WAGGLE_NATS_URL": addresses.nats_url,
        "WAGGLE_GATEWAY_HOST": addresses.host,
        "WAGGLE_GATEWAY_PORT": str(addresses.gateway_port),
    }


def _broker_settings(access: BrokerAccess | None, addresses: Addresses) -> BrokerSettings:
    """For preparing the broker, as whoever may."""
    if access is not None:
        return access.settings(addresses.nats_url)
    return BrokerSettings().model_copy(update={"nats_url": addresses.nats_url})


def _broker_command(layout: Layout) -> tuple[str, ...]:
    try:
        return broker_command(layout)
    except NatsServerError as error:
        raise StackError(str(error)) from error


def _prepare(settings: BrokerSettings, connect_s: float, *, own_key: Path | None, admin_key: Path | None) -> None:
    """What has to be there before any process of ours starts: the broker's furniture, and keys if they are to be our own."""
    from deploy.local.provisioning import provision
    from messaging.recovery import make_key

    if own_key is not None:
        make_key(own_key)
    provision(settings, connect_s=connect_s, admin_key=admin_key)


def _host() -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in socket.gethostname())[:64]
