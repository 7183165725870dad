"""How many series a process may make: attributes that can only take a few values, and a limit where one takes many.

An id as an attribute would make a series of every message. It is left out here whoever records it, so that no mistake
elsewhere can fill the memory of every process, the observer and whatever collects their metrics.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.view import View

MOST_SERIES = 350
"""Of one instrument. Those that come later are counted together, as the series `otel.metric.overflow`.

Enough for every operation of the gateway with every class of status; with its nine buckets it stays below what the observer
takes of one metric (`observability.series.quota`), so that it is here that a flood is stopped, and still counted.
"""

OVERFLOW = "otel.metric.overflow"

ATTRIBUTES = frozenset(
    {
        # OpenTelemetry's semantic conventions
        "cpu.mode",
        "disk.io.direction",
        "error.type",
        "gen_ai.operation.name",
        "gen_ai.provider.name",
        "gen_ai.request.model",
        "gen_ai.token.type",
        "http.request.method",
        "http.response.status_code",
        "http.route",
        "messaging.consumer.group.name",
        "messaging.destination.name",
        "messaging.operation.name",
        "messaging.system",
        "network.io.direction",
        "process.context_switch.type",
        "server.address",
        "server.port",
        "system.filesystem.mountpoint",
        "system.filesystem.state",
        "system.memory.state",
        # our own
        "kind",
        "rule.group",
        "waggle.action",
        "waggle.answer",
        "waggle.asked",
        "waggle.backend",
        "waggle.breaker.state",
        "waggle.cache.kind",
        "waggle.cache.level",
        "waggle.cause",
        "waggle.look",
        "waggle.notification.channel",
        "waggle.notification.outcome",
        "waggle.outcome",
        "waggle.reason",
        "waggle.remedy",
        "waggle.request",
        "waggle.safeguard",
        "waggle.source.service",
        "waggle.policy",
        "waggle.stage",
        "waggle.status_class",
        "waggle.verdict",
    }
)
"""All that may tell series apart. Whoever adds one says in docs/telemetry.md what values it takes."""


def bounded_views() -> tuple[View, ...]:
    """The view that every instrument goes through."""
    from opentelemetry.sdk.metrics.view import View

    return (View(instrument_name="*", attribute_keys=set(ATTRIBUTES), aggregation_cardinality_limit=MOST_SERIES),)
