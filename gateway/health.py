"""`/health/live` and `/health/ready`: for whatever runs the gateway and for whatever sends it requests."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import cast

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from contracts.errors import TransientError
from contracts.health import CheckStatus
from gateway.backend import Backend, Link
from gateway.schemas import Check, Readiness

router = APIRouter(prefix="/health", tags=["health"])

_LEDGER_TIMEOUT_S = 2.0
_TOLD = frozenset({"workers", "backends"})
"""Checks that say nothing about this process."""


@router.get("/live")
async def live() -> dict[str, str]:
    """The process handles requests; nothing else is looked at."""
    return {"status": "live"}


@router.get("/ready", response_model=Readiness, responses={503: {"model": Readiness}})
async def ready(request: Request) -> Response:
    """The gateway can accept work: broker connected, ledger readable.

    Which workers are there, and what they wait for, is told and not judged: what is accepted meanwhile waits.
    """
    checks = await _checks(cast("Link", request.app.state.link).backend)
    fine = all(check.status == "ok" for check in checks if check.name not in _TOLD)
    readiness = Readiness(status="ready" if fine else "not ready", checks=checks)
    headers = {} if fine else {"Retry-After": "2"}
    return Response(readiness.model_dump_json(), 200 if fine else 503, headers, media_type="application/json")


async def _checks(backend: Backend | None) -> list[Check]:
    if backend is None or not backend.broker.is_connected:
        return [Check(name="broker", status="failing", detail="not connected")]
    draining = backend.drain.begun.is_set()
    return [
        Check(name="broker", status="ok"),
        await _ledger(backend),
        _workers(backend),
        _backends(backend),
        Check(name="process", status="failing" if draining else "ok", detail="stopping" if draining else ""),
    ]


async def _ledger(backend: Backend) -> Check:
    try:
        async with asyncio.timeout(_LEDGER_TIMEOUT_S):
            await backend.require_ledger()
    except (TransientError, TimeoutError) as error:
        return Check(name="ledger", status="failing", detail=str(error) or "no answer")
    return Check(name="ledger", status="ok")


def _workers(backend: Backend) -> Check:
    alive = Counter(member.heartbeat.service for member in backend.fleet.members() if member.alive)
    detail = ", ".join(f"{service} {count}" for service, count in sorted(alive.items()))
    complete = alive["retrieve"] > 0 and alive["generate"] > 0
    return Check(name="workers", status="ok" if complete else "failing", detail=detail or "none heard of")


def _backends(backend: Backend) -> Check:
    """What workers wait for, by name only: this route is open to all, and their reasons hold addresses."""
    failing = Counter(
        (check.name, member.heartbeat.service)
        for member in backend.fleet.members()
        if member.alive
        for check in member.heartbeat.checks
        if check.status is CheckStatus.FAILING
    )
    if not failing:
        return Check(name="backends", status="ok")
    told = ", ".join(f"{name} ({service} {count})" for (name, service), count in sorted(failing.items()))
    return Check(name="backends", status="failing", detail=f"{told}; their checks say why")
