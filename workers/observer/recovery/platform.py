"""How the platform sees the instances, read and never acted upon: that is the operator's work."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import structlog

from contracts.errors import WaggleError
from contracts.platforms import Instance, InstanceState, Platform
from observability.recovery.observed import PlatformView

LOOK_S: Final = 5.0
"""How long a look may take; without an answer nothing is known."""
LATELY_S: Final = 600.0
"""Restarts that are counted."""
MOST_INSTANCES: Final = 1024

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the platform tells: by instance how it is, and by service how many run and may run. Empty where nobody tells; `silent`
    where somebody did, and does not now.
    """

    instances: Mapping[str, PlatformView] = field(default_factory=dict)
    running: Mapping[str, int] = field(default_factory=dict)
    possible: Mapping[str, int] = field(default_factory=dict)
    silent: bool = False


class PlatformEye:
    """Looks at the platform, if there is one, and remembers when it started what anew.

    One that has never answered is none: the fleet may run elsewhere.
    """

    def __init__(self, platform: Platform | None, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._platform = platform
        self._monotonic = monotonic
        self._restarts: dict[str, deque[tuple[float, int]]] = {}
        self._has_answered = False

    async def look(self) -> Places:
        if self._platform is None:
            return Places()
        try:
            async with asyncio.timeout(LOOK_S):
                instances = await self._platform.list()
        except (WaggleError, TimeoutError) as error:
            log.warning("how the platform sees the instances is not known", reason=str(error) or "no answer in time")
            return Places(silent=self._has_answered)
        self._has_answered = True
        return self._places(instances[:MOST_INSTANCES])

    def _places(self, instances: tuple[Instance, ...]) -> Places:
        now = self._monotonic()
        self._restarts = {each.instance: self._restarts.get(each.instance, deque()) for each in instances}
        running, possible = dict[str, int](), dict[str, int]()
        for each in instances:
            possible[each.service] = possible.get(each.service, 0) + 1
            at_work = each.state in {InstanceState.RUNNING, InstanceState.RESTARTING}
            running[each.service] = running.get(each.service, 0) + at_work
        views = {each.instance: self._view(each, now) for each in instances}
        return Places(instances=views, running=running, possible=possible)

    def _view(self, instance: Instance, now: float) -> PlatformView:
        """Restarts are counted from the first look on: what was before is nobody's crash loop any more."""
        seen = self._restarts[instance.instance]
        if not seen or seen[-1][1] != instance.restarts:
            seen.append((now, instance.restarts))
        while len(seen) > 1 and seen[1][0] <= now - LATELY_S:
            seen.popleft()
        lately = max(0, instance.restarts - seen[0][1])
        return PlatformView(run=instance.state, since=instance.since, restarts=lately)
