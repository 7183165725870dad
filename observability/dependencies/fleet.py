"""The dependency graph of a fleet, from what travels where and from what heartbeats say.

Who puts work into a queue needs those who take it out; everybody who sends or receives needs the broker; a process needs the
backends that its heartbeats tell of.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final

from contracts import topology
from contracts.backends import BROKER, CACHE, IN_BROKER
from contracts.cache_settings import CacheBackend
from contracts.channels import CHANNELS, Channel
from contracts.health import FACT_CACHE, Heartbeat
from observability.dependencies.graph import DependencyGraph

MOST_BACKENDS: Final = 64
"""Of all processes together: heartbeats name them, and their number is not to grow with what somebody invents."""
MOST_SERVICES: Final = 64
_OUTSIDE: Final = frozenset({BROKER, "client"})

_Needs = dict[str, set[str]]


def fleet_graph(beats: Iterable[Heartbeat], *, channels: Collection[Channel] = CHANNELS) -> DependencyGraph:
    """The graph of what `channels` say and the newest heartbeats of all processes tell."""
    needs: _Needs = {service: {BROKER} for service in known_services(channels)}
    _add_queues(needs, channels)
    needs.update({name: {BROKER} for name in IN_BROKER})
    backends = set(IN_BROKER)
    for beat in beats:
        _add_process(needs, backends, beat)
    return DependencyGraph(needs, aliases=_aliases(channels))


def known_services(channels: Collection[Channel] = CHANNELS) -> frozenset[str]:
    """Every service that sends or receives."""
    return frozenset(name for channel in channels for name in (*channel.senders, *channel.receivers)) - _OUTSIDE


def _add_queues(needs: _Needs, channels: Collection[Channel]) -> None:
    for channel in filter(_is_queue, channels):
        receivers = set(channel.receivers) - _OUTSIDE
        for sender in set(channel.senders) - _OUTSIDE:
            needs[sender] |= receivers - {sender}


def _add_process(needs: _Needs, backends: set[str], beat: Heartbeat) -> None:
    if beat.service not in needs:
        if len(needs) >= MOST_SERVICES + MOST_BACKENDS:
            return
        needs[beat.service] = {BROKER}
    for check in beat.checks:
        if check.name not in backends and len(backends) < MOST_BACKENDS:
            backends.add(check.name)
        if check.name in backends and check.name != beat.service:
            needs[beat.service].add(check.name)
    if beat.facts.get(FACT_CACHE) == CacheBackend.NATS:
        needs.setdefault(CACHE, set()).add(BROKER)


def _is_queue(channel: Channel) -> bool:
    return channel.stream is not None and channel.stream.retention is topology.Retention.WORK_QUEUE


def _aliases(channels: Collection[Channel]) -> Mapping[str, str]:
    """Queues and their consumers go by other names in alerts: a consumer stands for who reads it, a queue of which no service
    has the name for who puts work into it.
    """
    aliases = dict[str, str]()
    for channel in filter(_is_queue, channels):
        assert channel.stream is not None
        for sender in (name for name in channel.senders if name not in _OUTSIDE):
            aliases.setdefault(channel.stream.name.lower(), sender)
        for consumer in topology.CONSUMERS:
            if consumer.stream.name == channel.stream.name and channel.receivers:
                aliases[consumer.durable] = channel.receivers[0]
    return aliases
