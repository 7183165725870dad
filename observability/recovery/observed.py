"""The parts of a situation, from what an observer has heard, what the platform tells, and the history of diagnoses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from contracts.diagnoses import DiagnosisHistoryView
from contracts.health import FACT_CACHE, FACT_INDEX_IN_RESERVE, PROGRESS_CHECK, READY, CheckStatus
from contracts.platforms import InstanceState
from contracts.runtime_config import APPLIED_BY, EndpointClass, RuntimeConfig
from observability.intake.processes import SeenProcess
from observability.recovery.situation import BackendFacts, Episode, InstanceFacts, ServiceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformView:
    """How the platform sees one instance. `restarts` are those by itself, within 10 minutes."""

    run: InstanceState
    since: datetime | None = None
    restarts: int = 0


def instances_of(
    processes: Iterable[SeenProcess],
    *,
    waiting: Mapping[str, int],
    platform: Mapping[str, PlatformView],
    platform_silent: bool = False,
) -> tuple[InstanceFacts, ...]:
    """Every process that is not forgotten. `waiting` are messages at the consumers of a service, by its name; `platform` is by
    instance, and empty where nobody tells: `platform_silent` where somebody did, and does not now.
    """
    return tuple(
        _instance(seen, waiting.get(seen.beat.service, 0), platform.get(seen.beat.instance), platform_silent)
        for seen in processes
    )


def services_of(
    processes: Collection[SeenProcess], *, running: Mapping[str, int], possible: Mapping[str, int]
) -> dict[str, ServiceFacts]:
    """By name. `running` and `possible` are how many run, and may, for the platform; where it does not tell, those run that live."""
    living = Counter(seen.beat.service for seen in processes if seen.alive)
    cached = {seen.beat.service for seen in processes if seen.alive and FACT_CACHE in seen.beat.facts}
    return {
        name: ServiceFacts(
            running=running.get(name, living[name]), possible=possible.get(name), has_cache=name in cached
        )
        for name in sorted(living.keys() | running.keys())
    }


def index_of(processes: Iterable[SeenProcess], config: RuntimeConfig) -> BackendFacts:
    """The address of the index that is not used has to be reached by everybody who uses the index."""
    users = APPLIED_BY["active_index"]
    told = [
        seen.beat.facts.get(FACT_INDEX_IN_RESERVE) for seen in processes if seen.alive and seen.beat.service in users
    ]
    ready = bool(told) and all(state == READY for state in told)
    return BackendFacts(
        service=APPLIED_BY["active_index"][0],
        standby_available=ready,
        standby_active=config.active_index is EndpointClass.STANDBY,
        first_choice_available=ready,
    )


def episodes_of(history: DiagnosisHistoryView) -> dict[str, Episode]:
    """By fingerprint the last time that each cause came."""
    found: dict[str, Episode] = {}
    for each in history.items:
        known = found.get(each.diagnosis.fingerprint)
        if known is None or each.began_at > known.began_at:
            found[each.diagnosis.fingerprint] = Episode(began_at=each.began_at, last_seen_at=each.last_seen_at)
    return found


def _instance(seen: SeenProcess, waiting: int, platform: PlatformView | None, platform_silent: bool) -> InstanceFacts:
    beat = seen.beat
    stuck = any(check.name == PROGRESS_CHECK and check.status is CheckStatus.FAILING for check in beat.checks)
    return InstanceFacts(
        service=beat.service,
        instance=beat.instance,
        silent=not seen.alive,
        late=seen.late,
        state=beat.state,
        heard_at=beat.created_at,
        started_at=beat.started_at,
        version=beat.version,
        track=beat.track,
        stuck=stuck,
        progresses=not stuck,
        waiting=waiting,
        restarts=0 if platform is None else platform.restarts,
        run=None if platform is None else platform.run,
        platform_silent=platform_silent,
        run_since=None if platform is None else platform.since,
    )
