"""Waiting until what was started is ready: the platform says that it runs, the fleet that it serves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection

from cli.client import GatewayClient, GatewayError, UnreachableError
from cli.exits import CommandError
from cli.replies import Fleet
from contracts.health import EXIT_CONFIGURATION
from contracts.platforms import Instance, InstanceState, Platform

POLL_S = 0.5
LOG_LINES = 20


async def await_ready(
    platform: Platform,
    client: GatewayClient,
    instances: Collection[str],
    *,
    timeout_s: float,
    on_progress: Callable[[Collection[str]], None],
) -> None:
    """Return once all `instances` say that they are ready; `on_progress` hears who is not yet.

    Raises `CommandError` with the end of the log of one that cannot start, or is not ready in time: it is left as it is.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        there = {each.instance: each for each in await platform.list() if each.instance in instances}
        fleet = await _fleet(client)
        late = [name for name in instances if not _is_ready(there[name], fleet)]
        if not late:
            return
        on_progress(late)
        for name in late:
            if _cannot_start(there[name]):
                raise await _failure(platform, name, f"ends as soon as it is started ({there[name].reason})")
        if time.monotonic() > deadline:
            raise await _failure(platform, late[0], f"was started, and is not ready after {timeout_s:.0f} s")
        await asyncio.sleep(POLL_S)


async def _fleet(client: GatewayClient) -> Fleet:
    try:
        return await client.fleet()
    except (GatewayError, UnreachableError):  # it may be the one that is being started
        return Fleet(items=())


def _is_ready(instance: Instance, fleet: Fleet) -> bool:
    """The heartbeat must be that of this process: one that was just stopped is remembered for a while."""
    return any(
        member.instance == instance.instance
        and member.pid == instance.pid
        and member.state == "ready"
        and not member.stale
        for member in fleet.items
    )


def _cannot_start(instance: Instance) -> bool:
    if instance.state is InstanceState.FAILED:
        return True
    return instance.state is InstanceState.RESTARTING and instance.exit_code == EXIT_CONFIGURATION


async def _failure(platform: Platform, instance: str, what: str) -> CommandError:
    lines = await platform.logs_tail(instance, LOG_LINES)
    log = "The end of its log:\n" + "\n".join(lines) if lines else "It wrote no log."
    return CommandError(f"{instance} {what}; it is left as it is, see `waggle status`.", hint=log)
