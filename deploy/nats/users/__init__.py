"""All users: one of each service, those of people's commands, and those of tenants' programs."""

from __future__ import annotations

from collections.abc import Iterable

from deploy.nats.user import User
from deploy.nats.users.applications import asker, publisher
from deploy.nats.users.embed import EMBED
from deploy.nats.users.gateway import GATEWAY
from deploy.nats.users.generate import GENERATE
from deploy.nats.users.ingest import INGEST
from deploy.nats.users.keeper import KEEPER
from deploy.nats.users.observer import OBSERVER
from deploy.nats.users.operator import OPERATOR
from deploy.nats.users.people import ADMIN, PROVISION
from deploy.nats.users.retrieve import RETRIEVE

SERVICES = (GATEWAY, INGEST, EMBED, RETRIEVE, GENERATE, KEEPER, OBSERVER, OPERATOR)
"""Each is called as its service, so that a process finds its own."""
PLATFORM = (*SERVICES, PROVISION, ADMIN)


def applications(tenants: Iterable[str]) -> tuple[User, ...]:
    """The users of tenants' programs. Raises `ValueError` for what is no name of a tenant."""
    return tuple(make(tenant) for tenant in tenants for make in (publisher, asker))


__all__ = ["ADMIN", "PLATFORM", "PROVISION", "SERVICES", "applications", "asker", "publisher"]
