"""Processes as an observer knows them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from contracts.health import BackendCheck, CheckStatus, Heartbeat, ProcessState
from observability.intake.processes import SeenProcess

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)

STATUSES = {"ok": CheckStatus.OK, "slow": CheckStatus.DEGRADED, "bad": CheckStatus.FAILING, "?": CheckStatus.UNKNOWN}


def beat(service: str, number: int = 1, *, state: str = "ready", facts: Any = None, **checks: str) -> Heartbeat:
    return Heartbeat(
        created_at=NOW,
        service=service,
        instance=f"{service}-{number}",
        host="h1",
        version="1",
        pid=number,
        started_at=NOW,
        state=ProcessState(state),
        in_flight=0,
        progress=0,
        rss_bytes=1,
        cpu_s=0.0,
        checks=tuple(
            BackendCheck(name=name, status=STATUSES[said], latency_ms=float(number), detail=said)
            for name, said in checks.items()
        ),
        facts=facts or {},
    )


def process(service: str, number: int = 1, *, alive: bool = True, **said: Any) -> SeenProcess:
    return SeenProcess(beat=beat(service, number, **said), alive=alive)
