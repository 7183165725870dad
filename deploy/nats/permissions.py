"""The subjects that the operator needs, and no others: what it may do is all that somebody could who got hold of it.

It reads commands and cannot give any, stores results and nothing else of recovery, and sees neither questions nor documents.
It makes no streams and no consumers: `waggle provision` does, as a user who may.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from contracts import subjects, topology

_API: Final = "$JS.API"
_SERVICE: Final = "operator"
_CONFIG, _LEASES, _SUSPECTS, _CACHE = (
    f"KV_{bucket.name}" for bucket in (topology.CONFIG, topology.LEASES, topology.SUSPECTS, topology.CACHE)
)
_OPS: Final = topology.OPS.name


@dataclass(frozen=True, kw_only=True)
class Permissions:
    """What a user may publish and subscribe to; whatever is not named is denied."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]

    def config(self) -> Mapping[str, Mapping[str, Mapping[str, list[str]]]]:
        """As a user's `permissions` in the configuration of a nats-server."""
        return {
            "permissions": {
                "publish": {"allow": list(self.publish)},
                "subscribe": {"allow": list(self.subscribe)},
            }
        }


def operator_permissions() -> Permissions:
    """Those of `waggle worker operator`."""
    return Permissions(
        publish=(*_told(), *_orders(), *_written(), *_consumed(), *_read(), *_forgotten()),
        subscribe=(
            "_INBOX.>",
            subjects.health("*", "*"),
            subjects.control(_SERVICE, "*"),
            subjects.CACHE_CONTROL,
        ),
    )


def users(given: Mapping[str, tuple[str, Permissions | None]]) -> str:
    """An `authorization` block: user name → password and permissions, None for a user who may do everything."""
    listed = [
        {"user": name, "password": password, **(permissions.config() if permissions else {})}
        for name, (password, permissions) in given.items()
    ]
    return f"authorization: {json.dumps({'users': listed}, indent=2)}\n"


def _told() -> Iterable[str]:
    """Of itself, as every process."""
    return subjects.health(_SERVICE, "*"), subjects.metrics(_SERVICE, "*")


def _orders() -> Iterable[str]:
    """To single processes (stacks, caches), and word that a cache was cleared."""
    return subjects.control("*", "*"), subjects.CACHE_CONTROL


def _written() -> Iterable[str]:
    """Results, dead letters of commands, attempts at them, its own record, and revisions of the configuration."""
    return (
        subjects.recovery_result("*"),
        subjects.dead_letter(_OPS, "*"),
        subjects.CONFIG_CHANGES,
        f"$KV.{topology.SUSPECTS.name}.{_OPS}.*",
        f"$KV.{topology.CONFIG.name}.recovery.operator",
        f"$KV.{topology.CONFIG.name}.runtime.>",
    )


def _consumed() -> Iterable[str]:
    """Commands, by its consumer; of other consumers how they stand."""
    consumer = topology.OPERATORS
    return (
        f"{_API}.CONSUMER.MSG.NEXT.{_OPS}.{consumer.durable}",
        f"$JS.ACK.{_OPS}.{consumer.durable}.>",
        *(f"{_API}.CONSUMER.INFO.{each.stream.name}.{each.durable}" for each in topology.CONSUMERS),
    )


def _read() -> Iterable[str]:
    """Streams that it reads: results, the configuration, attempts. With replicas the leader is asked for a message."""
    return (
        f"{_API}.DIRECT.GET.{_OPS}.{subjects.recovery_result('*')}",
        f"{_API}.DIRECT.GET.{_CONFIG}",
        f"{_API}.DIRECT.GET.{_CONFIG}.>",
        f"{_API}.DIRECT.GET.{_SUSPECTS}.>",
        *(f"{_API}.STREAM.MSG.GET.{stream}" for stream in (_OPS, _CONFIG, _SUSPECTS)),
        *(
            f"{_API}.STREAM.INFO.{stream}"
            for stream in (topology.EVENTS.name, _OPS, _CONFIG, _LEASES, _SUSPECTS)  # EVENTS: the broker's time
        ),
    )


def _forgotten() -> Iterable[str]:
    """What is cached, and revisions that are too old to be kept."""
    return f"{_API}.STREAM.PURGE.{_CACHE}", f"{_API}.STREAM.PURGE.{_CONFIG}"
