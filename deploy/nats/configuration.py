"""The users as a nats-server's configuration has them: the account of the platform, and one for each tenant's programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from deploy.nats.seeds import Seeds
from deploy.nats.user import User
from deploy.nats.users import PLATFORM, applications

ACCOUNT = "WAGGLE"
"""Where Waggle's streams are. The server's own account for all, `$G`, can share nothing with others."""

Json = dict[str, Any]


def users(tenants: Iterable[str]) -> tuple[User, ...]:
    """All users, with those of these tenants' programs. Raises `ValueError` for what is no name of a tenant."""
    return (*PLATFORM, *applications(tenants))


def accounts(given: Sequence[User], seeds: Seeds) -> Json:
    """The part of the configuration, as JSON has it, which a nats-server reads. Raises `ConfigurationError` for a missing seed."""
    tenants = sorted({user.tenant for user in given if user.tenant is not None})
    of_tenants = {tenant: [user for user in given if user.tenant == tenant] for tenant in tenants}
    ours = [user for user in given if user.tenant is None]
    platform: Json = {"jetstream": "enabled", "users": [_user(user, seeds) for user in ours]}
    exports = [entry for tenant in tenants for entry in _exports(tenant, of_tenants[tenant])]
    if exports:
        platform["exports"] = exports
    return {
        "accounts": {
            ACCOUNT: platform,
            **{
                account_of(tenant): {
                    "users": [_user(user, seeds) for user in of_tenants[tenant]],
                    "imports": _imports(of_tenants[tenant]),
                }
                for tenant in tenants
            },
        }
    }


def text(part: Json) -> str:
    """As a file for `include`."""
    lines = (f"{name}: {json.dumps(value, indent=2)}\n" for name, value in part.items())
    return "".join(lines)


def account_of(tenant: str) -> str:
    """The account of a tenant's programs."""
    return f"{ACCOUNT}-{tenant}"


def _user(user: User, seeds: Seeds) -> Json:
    return {"nkey": seeds.public_key(user.name), "permissions": user.permissions()}


def _exports(tenant: str, given: Iterable[User]) -> list[Json]:
    allowed = {"accounts": [account_of(tenant)]}
    return [{kind: subject, **allowed} for kind, subject in _ways(given)]


def _imports(given: Iterable[User]) -> list[Json]:
    return [{kind: {"account": ACCOUNT, "subject": subject}} for kind, subject in _ways(given)]


def _ways(given: Iterable[User]) -> list[tuple[str, str]]:
    """What goes into the platform's account and what comes out of it."""
    into = {subject: None for user in given for subject in user.publish}
    out = {subject: None for user in given for subject in user.subscribe if not subject.startswith("_INBOX")}
    return [*(("service", subject) for subject in into), *(("stream", subject) for subject in out)]
