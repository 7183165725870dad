"""How processes and commands of this host are let in by the stack's own broker: each as a user of its own.

The seeds are made once and kept in the data folder. A broker that is not ours is used with the settings alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from contracts.settings import BrokerSettings
from contracts.settings_source import ConfigurationError
from deploy.local.addresses import RunningStack
from deploy.local.layout import Layout
from deploy.nats.configuration import ACCOUNT, accounts, text, users
from deploy.nats.grants import inbox
from deploy.nats.seeds import Seeds
from deploy.nats.users import ADMIN, SERVICES

TENANT: Final = "default"
"""Whose programs are let in from the beginning; `waggle nats config --tenant` adds others."""
_GLOBAL: Final = "$G"
"""The account of streams where a server has no accounts, as that of earlier releases."""
GIVEN: Final = ("nats_user", "nats_password", "nats_token", "nats_credentials", "nats_nkey_seed", "nats_inbox_prefix")
"""Settings for a broker that is not ours."""


class BrokerAccess:
    """The users of one stack's own broker."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.seeds = Seeds(layout.nats_users)

    def prepare(self) -> str:
        """Make seeds that are missing; returns the part of the broker's configuration that knows them.

        What a broker of an earlier release stored is taken over. Raises `ConfigurationError`.
        """
        given = users(sorted({TENANT, *self.seeds.tenants()}))
        self.seeds.ensure(given)
        self._take_over_streams()
        return text(accounts(given, self.seeds))

    def environments(self) -> Mapping[str, Mapping[str, str]]:
        """The variables by which a process of a service shows who it is."""
        return {
            user.name: {
                "WAGGLE_NATS_NKEY_SEED": str(self.seeds.file(user.name)),
                "WAGGLE_NATS_INBOX_PREFIX": user.inbox,
            }
            for user in SERVICES
        }

    def settings(self, url: str, *, user: str = ADMIN.name) -> BrokerSettings:
        """Settings to connect with as a user, by default the one for commands on this host."""
        own = {"nats_url": url, "nats_nkey_seed": self.seeds.file(user), "nats_inbox_prefix": inbox(user)}
        return BrokerSettings.load().model_copy(update={**dict.fromkeys(GIVEN), **own})

    def _take_over_streams(self) -> None:
        stored = self._layout.nats / "store" / "jetstream"
        before, now = stored / _GLOBAL, stored / ACCOUNT
        if now.exists() or not before.exists():
            return
        try:
            before.rename(now)
        except OSError as error:
            raise ConfigurationError(
                f"The broker's streams in {before} cannot be moved to {now} ({error.strerror}): move them by hand."
            ) from error


def settings_of(running: RunningStack, layout: Layout) -> BrokerSettings:
    """Settings for commands on this host to speak to the broker of the stack that runs here."""
    if running.own_users:
        return BrokerAccess(layout).settings(running.nats_url)
    return BrokerSettings.load().model_copy(update={"nats_url": running.nats_url})


def environment_of(data_dir: Path, service: str) -> Mapping[str, str]:
    """The variables by which a process beside the stack shows that it is one of this service."""
    return BrokerAccess(Layout(data_dir)).environments()[service]


def admin_of(data_dir: Path, url: str) -> BrokerSettings:
    """The same for a stack of which only the data folder and the broker's address are known."""
    return BrokerAccess(Layout(data_dir)).settings(url)
