"""A user of the broker: a name, grants, and what they come to in the server's configuration."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deploy.nats.grants import Grant, inbox


@dataclass(frozen=True, kw_only=True)
class User:
    """`denied` outweighs what is granted; `tenant` is whose application it is, None for the platform's own."""

    name: str
    why: str
    grants: tuple[Grant, ...]
    denied: tuple[Grant, ...] = ()
    tenant: str | None = None

    @property
    def inbox(self) -> str:
        """The prefix of its reply subjects, which nobody else may subscribe to: `WAGGLE_NATS_INBOX_PREFIX`."""
        return inbox(self.name)

    @property
    def publish(self) -> tuple[str, ...]:
        return _once(subject for grant in self.grants for subject in grant.publish)

    @property
    def subscribe(self) -> tuple[str, ...]:
        return _once((f"{self.inbox}.>", *(subject for grant in self.grants for subject in grant.subscribe)))

    def permissions(self) -> dict[str, Any]:
        """As a user's `permissions` in the configuration of a nats-server."""
        return {
            "publish": _rules(self.publish, _once(s for grant in self.denied for s in grant.publish)),
            "subscribe": _rules(self.subscribe, _once(s for grant in self.denied for s in grant.subscribe)),
        }


def _rules(allowed: tuple[str, ...], denied: tuple[str, ...]) -> dict[str, list[str]]:
    return {"allow": list(allowed), **({"deny": list(denied)} if denied else {})}


def _once(subjects: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(subjects))
