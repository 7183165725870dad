"""Puts a local stack together from the settings."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from contracts.settings import AllSettings, BrokerSettings
from deploy.local import ports
from deploy.local.addresses import Addresses
from deploy.local.errors import StackError
from deploy.local.layout import Layout
from deploy.local.nats_server import NatsServerError
from deploy.local.programs import SERVICES, Fleet
from deploy.local.stack import LocalStack, broker_command

NATS_PORT = 4222


def layout_of(settings: AllSettings) -> Layout:
    return Layout(settings.data_dir.absolute())


def assemble(
    settings: AllSettings,
    *,
    replicas: Mapping[str, int] | None = None,
    port: int | None = None,
    nats_port: int = NATS_PORT,
) -> LocalStack:
    """The stack that these settings describe; a port of 0 takes a free one.

    With `WAGGLE_NATS_URL` set it uses that broker, otherwise it runs one of its own. Raises `StackError` when it would
    and there is no nats-server.
    """
    layout = layout_of(settings)
    addresses = _addresses(settings, port=settings.gateway_port if port is None else port, nats_port=nats_port)
    own_broker = addresses.nats_port is not None
    fleet = Fleet(
        drain_timeout_s=settings.drain_timeout_s,
        replicas=replicas or {},
        broker_command=_broker_command(layout) if own_broker else None,
        # Several hosts may share a broker that is not ours: their processes must not be taken for one another.
        host_prefix="" if own_broker else f"{_host()}-",
        encoder_threads=settings.encoder_threads,
    )
    broker = BrokerSettings().model_copy(update={"nats_url": addresses.nats_url})
    return LocalStack(
        layout,
        fleet=fleet,
        addresses=addresses,
        environment=_environment(settings, layout, addresses),
        provision=lambda: _provision(broker),
    )


def replicas_of(options: list[str]) -> dict[str, int]:
    """`["embed=2"]` as `{"embed": 2}`. Raises `ValueError` saying what is wrong."""
    known = (*SERVICES, "keeper")
    counts: dict[str, int] = {}
    for option in options:
        service, _, count = option.partition("=")
        if service not in known or not count.isdecimal() or not 1 <= int(count) <= 64:
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


def _broker_command(layout: Layout) -> tuple[str, ...]:
    try:
        return broker_command(layout)
    except NatsServerError as error:
        raise StackError(str(error)) from error


def _provision(settings: BrokerSettings) -> None:
    from deploy.local.provisioning import provision

    provision(settings)


def _host() -> str:
    return "".join(c if c.isalnum() and c.isascii() else "-" for c in socket.gethostname())[:64]
