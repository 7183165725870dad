"""Connections to hosts that somebody else names."""

from observability.outgoing.addresses import HostError, HostNotFoundError, HostRefusedError, PublicAddresses, Resolve
from observability.outgoing.pinning import PinnedTransport, authorities

__all__ = [
    "HostError",
    "HostNotFoundError",
    "HostRefusedError",
    "PinnedTransport",
    "PublicAddresses",
    "Resolve",
    "authorities",
]
