"""What is made of heartbeats, of the platform's view, and of the history of diagnoses."""

from __future__ import annotations

from datetime import datetime

import pytest

from contracts.diagnoses import Diagnosis, DiagnosisHistoryView, EpisodeView
from contracts.health import (
    AWAY,
    FACT_CACHE,
    FACT_INDEX_IN_RESERVE,
    PROGRESS_CHECK,
    READY,
    BackendCheck,
    CheckStatus,
    Heartbeat,
    ProcessState,
)
from contracts.platforms import InstanceState
from contracts.runtime_config import EndpointClass, RuntimeConfig
from observability.intake.processes import SeenProcess
from observability.recovery import Episode, ServiceFacts
from observability.recovery.observed import PlatformView, episodes_of, index_of, instances_of, services_of
from tests.unit.observability.recovery.fleet import LONG_AGO, NOW, s, unavailable


def seen(instance: str = "retrieve-1", *, alive: bool = True, progress: CheckStatus = CheckStatus.OK) -> SeenProcess:
    beat = Heartbeat(
        service="retrieve",
        instance=instance,
        host="here",
        version="1.0.0",
        track="canary",
        pid=7,
        started_at=LONG_AGO,
        state=ProcessState.READY,
        in_flight=0,
        progress=1,
        rss_bytes=1,
        cpu_s=1,
        checks=(BackendCheck(name=PROGRESS_CHECK, status=progress),),
        facts={FACT_CACHE: "nats"},
        created_at=NOW,
    )
    return SeenProcess(beat=beat, alive=alive)


def episode(found: Diagnosis, began_at: datetime, last_seen_at: datetime) -> EpisodeView:
    return EpisodeView(began_at=began_at, last_seen_at=last_seen_at, diagnosis=found)


def test_an_instance_is_as_it_was_heard_and_as_the_platform_sees_it():
    view = PlatformView(run=InstanceState.RUNNING, since=LONG_AGO, restarts=2)

    (facts,) = instances_of([seen()], waiting={"retrieve": 4}, platform={"retrieve-1": view})

    assert (facts.silent, facts.heard_at, facts.started_at, facts.track) == (False, NOW, LONG_AGO, "canary")
    assert (facts.run, facts.run_since, facts.restarts, facts.waiting) == (InstanceState.RUNNING, LONG_AGO, 2, 4)
    assert facts.is_ready


def test_one_that_says_that_it_is_stuck_hangs():
    (facts,) = instances_of([seen(progress=CheckStatus.FAILING)], waiting={}, platform={})

    assert facts.is_hung
    assert not facts.is_ready


def test_without_the_platform_its_view_is_not_known():
    (facts,) = instances_of([seen(alive=False)], waiting={}, platform={})

    assert (facts.silent, facts.run) == (True, None)


def test_services_count_who_lives():
    processes = [seen(), seen("retrieve-2"), seen("retrieve-3", alive=False)]

    assert services_of(processes, running={}, possible={"retrieve": 3}) == {
        "retrieve": ServiceFacts(running=2, possible=3, has_cache=True)
    }


def test_those_that_hang_run_for_the_platform():
    processes = [seen(), seen("retrieve-2", alive=False)]

    assert services_of(processes, running={"retrieve": 2}, possible={})["retrieve"].running == 2


def test_of_several_episodes_the_last_one_counts():
    found = unavailable()
    older, newer = episode(found, LONG_AGO, LONG_AGO + s(9)), episode(found, NOW - s(60), NOW)

    history = DiagnosisHistoryView(items=(older, newer))

    assert episodes_of(history) == {found.fingerprint: Episode(began_at=NOW - s(60), last_seen_at=NOW)}


def reserve(*told: str | None, alive: bool = True) -> list[SeenProcess]:
    """Processes that use the index; None knows of one address only."""
    found = []
    for number, state in enumerate(told):
        process = seen(f"retrieve-{number}", alive=alive)
        facts = {} if state is None else {FACT_INDEX_IN_RESERVE: state}
        found.append(SeenProcess(beat=process.beat.model_copy(update={"facts": facts}), alive=process.alive))
    return found


@pytest.mark.parametrize(
    ("processes", "available"),
    [
        (reserve(READY, READY), True),
        (reserve(READY, None), False),
        (reserve(READY, AWAY), False),
        (reserve(None, None), False),
        ([*reserve(READY), *reserve(AWAY, alive=False)], True),
        (reserve(READY, alive=False), False),
        ([], False),
    ],
)
def test_an_index_has_a_standby_when_all_who_use_it_reach_it(processes: list[SeenProcess], available: bool):
    facts = index_of(processes, RuntimeConfig())

    assert (facts.standby_available, facts.standby_active, facts.service) == (available, False, "retrieve")


def test_while_the_standby_is_used_it_is_the_first_choice_that_is_told_of():
    facts = index_of(reserve(READY), RuntimeConfig(active_index=EndpointClass.STANDBY))

    assert (facts.standby_active, facts.first_choice_available) == (True, True)
