"""Series for tests, in the notation of unit tests of rules."""

from __future__ import annotations

from observability.promql import MemorySeries, parse
from observability.rules.testing import notation

MINUTE_MS = 60_000


def series(given: dict[str, str], *, step_ms: int = MINUTE_MS) -> MemorySeries:
    """One value each minute, the first at 0."""
    source = MemorySeries(retention_ms=10**9)
    for name, values in given.items():
        for number, value in enumerate(notation.values(values)):
            if value is not None:
                source.append(notation.series(name), time_ms=number * step_ms, value=value)
    return source


def at(source: MemorySeries, expression: str, minute: float) -> dict[str, float]:
    """What an expression yields, by how its series are written."""
    found = parse(expression).instant(source, at_ms=round(minute * MINUTE_MS))
    return {str(labels): value for labels, value in found.samples}
