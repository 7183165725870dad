"""What heartbeats tell of what workers depend on."""

from __future__ import annotations

from messaging.fleet import FleetView


def breaker_state(view: FleetView, backend: str) -> str:
    """The state of a breaker, as the only worker's heartbeats tell it; `unheard` before the first."""
    details = [c.detail for member in view.members() for c in member.heartbeat.checks if c.name == backend]
    return details[0].split()[1].rstrip(":") if details else "unheard"
