"""Whether every process of a stack is ready: what the supervisor sees and what the fleet says of itself, put together."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import httpx

from contracts.health import EXIT_CONFIGURATION, CheckStatus, ProcessState
from deploy.local.admin_key import read_key
from deploy.local.errors import StartError
from deploy.local.programs import BROKER, GATEWAY
from deploy.local.stack import LocalStack
from deploy.local.supervision import ProcessInfo

POLL_S = 0.2
REQUEST_S = 2.0
START_ATTEMPTS = 3
"""A process that has ended this often before anything was ready will not do better."""


class Stage(StrEnum):
    STARTING = "starting"
    READY = "ready"
    RESTARTING = "restarting"


STOPPED = "STOPPED"
_ALIVE = frozenset({"STARTING", "RUNNING"})


@dataclass(frozen=True, kw_only=True)
class Failing:
    """Something that a process depends on and that does not work; `detail` says why, and what to do."""

    process: str
    check: str
    detail: str


@dataclass(frozen=True, kw_only=True)
class Status:
    """How far one process has come. A ready one may still wait for something: what it says is `failing`."""

    name: str
    stage: Stage
    failing: tuple[Failing, ...] = ()


class _Attempts:
    """Counts how often each process was started."""

    def __init__(self) -> None:
        self._pids: dict[str, set[int]] = {}

    def count(self, stack: LocalStack, processes: list[ProcessInfo]) -> None:
        """Raises `StartError` for a process that ended too often."""
        for process in processes:
            pids = self._pids.setdefault(process.name, set())
            pids |= {process.pid} - {0}
            has_ended = process.state == "BACKOFF" or len(pids) > 1
            if has_ended and stack.logs.last_exit(process.name) == EXIT_CONFIGURATION:
                raise StartError(f"{process.name} cannot start with its settings.", log=stack.logs.tail(process.name))
            if len(pids) > START_ATTEMPTS or process.state == "FATAL":
                raise StartError(f"{process.name} ends as soon as it is started.", log=stack.logs.tail(process.name))


def watch(stack: LocalStack, *, timeout_s: float) -> Iterator[list[Status]]:
    """Yield how far every process is, until all are ready and the gateway says that it is.

    Raises `StartError` when a process gives up, or when the time is over; the message names who is not ready.
    """
    deadline = time.monotonic() + timeout_s
    statuses: list[Status] = []
    attempts = _Attempts()
    key = read_key(stack.layout.admin_key)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with httpx.Client(base_url=stack.addresses.url, timeout=REQUEST_S, headers=headers) as http:
        while time.monotonic() < deadline:
            processes = [p for p in stack.processes() if p.state != STOPPED]  # spare, or stopped by somebody meanwhile
            attempts.count(stack, processes)
            statuses = _statuses(stack, processes, _members(http), ready=_gateway_ready(http))
            yield statuses
            if all(status.stage is Stage.READY for status in statuses):
                return
            time.sleep(POLL_S)
    raise _too_late(stack, statuses, timeout_s)


def _statuses(
    stack: LocalStack, processes: list[ProcessInfo], members: Mapping[str, Mapping[str, Any]], *, ready: bool
) -> list[Status]:
    prefix = stack.fleet.host_prefix
    found = []
    for process in processes:
        member = members.get(f"{prefix}{process.name}", {})
        stage = _stage(process, member, gateway_ready=ready)
        found.append(Status(name=process.name, stage=stage, failing=_failing(process, member)))
    return found


def _stage(process: ProcessInfo, member: Mapping[str, Any], *, gateway_ready: bool) -> Stage:
    if process.state not in _ALIVE:
        return Stage.RESTARTING
    return Stage.READY if _is_ready(process, member, gateway_ready=gateway_ready) else Stage.STARTING


def _is_ready(process: ProcessInfo, member: Mapping[str, Any], *, gateway_ready: bool) -> bool:
    """The broker is ready once it runs: nothing else was started before it answered."""
    if process.name == BROKER:
        return True
    if process.name == GATEWAY:
        return gateway_ready
    looked = all(check["status"] != CheckStatus.UNKNOWN for check in member.get("checks", ()))
    return (
        member.get("state") in {ProcessState.READY, ProcessState.PAUSED} and not member.get("stale", False) and looked
    )


def _failing(process: ProcessInfo, member: Mapping[str, Any]) -> tuple[Failing, ...]:
    return tuple(
        Failing(process=process.name, check=check["name"], detail=check.get("detail", ""))
        for check in member.get("checks", ())
        if check["status"] == CheckStatus.FAILING
    )


def _members(http: httpx.Client) -> dict[str, Mapping[str, Any]]:
    try:
        response = http.get("/v1/fleet")
    except httpx.TransportError:  # the gateway is not up yet
        return {}
    items = response.json()["items"] if response.is_success else []
    return {member["instance"]: member for member in items}


def _gateway_ready(http: httpx.Client) -> bool:
    try:
        return http.get("/health/ready").is_success
    except httpx.TransportError:  # the gateway is not up yet
        return False


def _too_late(stack: LocalStack, statuses: list[Status], timeout_s: float) -> StartError:
    late = [status.name for status in statuses if status.stage is not Stage.READY]
    log = stack.logs.tail(late[0]) if late else ""
    return StartError(f"not ready within {timeout_s:.0f} s: {', '.join(late) or 'no process'}.", log=log)
