"""The shipped rules of the fleet over what the observer makes of real heartbeats: who dies is told in time, nobody else is."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from contracts.health import PROGRESS_CHECK, BackendCheck, CheckStatus, ProcessState
from deploy import rules as shipped
from observability import rules
from observability.rules import AlertState, GroupEvaluator
from tests.support.fleets import Process, Site

SOON_S = 15


class Watched:
    """A fleet whose rules are evaluated as time passes. `told` are all alerts that ever fired, with when they did first."""

    def __init__(self, **expected: int) -> None:
        self.site = Site(expected=expected)
        self._groups = [
            (group, GroupEvaluator(group, source=series, sink=series, now_ms=lambda: self.site.now_ms))
            for series in [self.site.series]
            for group in rules.load(shipped.FOLDER / "fleet.yaml")
        ]
        self.told: dict[tuple[str, str], float] = {}

    def pass_(self, seconds: int, *alive: Process, listening: bool = True) -> None:
        for _ in range(seconds):
            self.site.pass_(1, *alive, listening=listening)
            for group, evaluator in self._groups:
                if round(self.site.now) % ((group.interval_ms or 0) // 1000) == 0:
                    assert evaluator.evaluate().failures == ()
            for alert in self.firing():
                self.told.setdefault(alert, self.site.now)

    def firing(self) -> set[tuple[str, str]]:
        """Names of alerts, with the instance that they are about, else the service."""
        return {
            (rule.name, alert.labels.get("instance") or alert.labels["service"])
            for _, evaluator in self._groups
            for rule, alerts in evaluator.alerts()
            for alert in alerts.active
            if alert.state is AlertState.FIRING
        }


def fleet(service: str, numbers: Iterable[int], *, pid: int = 10, **fields) -> list[Process]:
    return [Process(service=service, instance=f"{service}-{n}", pid=pid + n, **fields) for n in numbers]


def stopping(processes: Iterable[Process]) -> None:
    for process in processes:
        process.state = ProcessState.DRAINING


@pytest.fixture
def watched() -> Watched:
    return Watched()


def test_starting_working_and_stopping_in_order_is_told_of_to_nobody(watched: Watched) -> None:
    observer, (embed, spare) = fleet("observer", [1]), fleet("embed", [1, 2])
    embed.state = ProcessState.STARTING
    watched.pass_(40, *observer, embed, spare)
    embed.state = ProcessState.READY
    watched.pass_(120, *observer, embed, spare)
    stopping([spare])  # scaled down
    watched.pass_(6, *observer, embed, spare)
    watched.pass_(400, *observer, embed)
    stopping([embed])  # and the whole service stopped
    watched.pass_(6, *observer, embed)
    watched.pass_(400, *observer)

    assert watched.told == {}


def test_a_rolling_deploy_is_told_of_to_nobody(watched: Watched) -> None:
    observer, members = fleet("observer", [1]), fleet("embed", [1, 2, 3, 4])
    watched.pass_(60, *observer, *members)
    for place, member in enumerate(list(members)):
        stopping([member])
        watched.pass_(6, *observer, *members)
        members.remove(member)
        watched.pass_(20, *observer, *members)  # it loads its model
        members += fleet("embed", [place + 11], pid=100, started_s=watched.site.now)
        watched.pass_(30, *observer, *members)
    watched.pass_(400, *observer, *members)

    assert watched.told == {}


@pytest.mark.parametrize("moment", range(60, 66))
def test_the_death_of_one_is_told_within_15_seconds_and_ends_with_its_return(watched: Watched, moment: int) -> None:
    staying, (dying,) = [*fleet("observer", [1]), *fleet("embed", [1])], fleet("embed", [2])
    watched.pass_(moment, *staying, dying)
    died = watched.site.now
    watched.pass_(60, *staying)

    assert watched.firing() == {("InstanceDead", "embed-2")}
    assert watched.told["InstanceDead", "embed-2"] - died <= SOON_S

    watched.pass_(20, *staying, *fleet("embed", [2], pid=99, started_s=watched.site.now))
    assert watched.firing() == set()


def test_a_kill_that_the_platform_repairs_at_once_is_told_of_to_nobody(watched: Watched) -> None:
    observer = fleet("observer", [1])
    watched.pass_(60, *observer, *fleet("embed", [1]))
    watched.pass_(5, *observer)
    watched.pass_(300, *observer, *fleet("embed", [1], pid=99, started_s=watched.site.now))

    assert watched.told == {}


def test_a_service_whose_last_one_died_is_down_until_one_is_back(watched: Watched) -> None:
    observer, last = fleet("observer", [1]), fleet("embed", [1])
    watched.pass_(63, *observer, *last)
    died = watched.site.now
    watched.pass_(1500, *observer)

    assert watched.told["ServiceDown", "embed"] - died <= SOON_S
    assert watched.firing() == {("ServiceDown", "embed")}, "long after the dead was forgotten"

    watched.pass_(20, *observer, *fleet("embed", [1], pid=99, started_s=watched.site.now))
    assert watched.firing() == set()


def test_what_is_configured_and_does_not_come_is_told_after_minutes() -> None:
    watched = Watched(embed=2, generate=1)
    there = [*fleet("observer", [1]), *fleet("embed", [1])]
    watched.pass_(240, *there)
    assert watched.told == {}
    watched.pass_(120, *there)

    assert watched.firing() == {("ExpectedMissing", "embed"), ("ExpectedMissing", "generate")}


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_a_clock_that_is_an_hour_off_is_told_as_that_and_nothing_else(watched: Watched, skew_s: float) -> None:
    watched.pass_(420, *fleet("observer", [1]), *fleet("embed", [1], skew_s=skew_s))

    assert set(watched.told) == {("ClockSkewed", "embed-1")}


def test_nobody_is_dead_because_the_observer_does_not_hear(watched: Watched) -> None:
    members = [*fleet("observer", [1]), *fleet("embed", [1, 2])]
    watched.pass_(60, *members)
    watched.pass_(60, listening=False)
    watched.pass_(60, *members)

    assert watched.told == {}


def test_one_that_ends_again_and_again_is_in_a_loop_under_whatever_name(watched: Watched) -> None:
    observer = fleet("observer", [1])
    for start in range(5):
        named_anew = Process(service="embed", instance=f"h1-{start}", pid=start, started_s=watched.site.now)
        same_name = Process(service="ingest", instance="ingest-1", pid=start, started_s=watched.site.now)
        watched.pass_(20, *observer, named_anew, same_name)
        watched.pass_(4, *observer)

    assert {("CrashLoop", "embed"), ("CrashLoop", "ingest-1")} <= set(watched.told)


def test_one_that_says_it_is_stuck_is_and_one_that_is_slow_or_paused_is_not(watched: Watched) -> None:
    observer, (stuck, slow, paused) = fleet("observer", [1]), fleet("embed", [1, 2, 3])
    paused.state = ProcessState.PAUSED
    for second in range(0, 1200, 3):
        in_hand = {"in_flight": 1, "oldest_in_flight_s": float(second)}
        stuck.fields = {**in_hand, "checks": (_progress(CheckStatus.FAILING if second > 900 else CheckStatus.OK),)}
        slow.fields = paused.fields = {**in_hand, "checks": (_progress(CheckStatus.OK),)}
        watched.pass_(3, *observer, stuck, slow, paused)

    assert watched.firing() == {("InstanceStuck", "embed-1")}
    assert watched.told["InstanceStuck", "embed-1"] > 900


def _progress(status: CheckStatus) -> BackendCheck:
    return BackendCheck(name=PROGRESS_CHECK, status=status)
