"""Who is alive is judged by our own clock and by what arrives, and by nothing that a process says of the time."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from contracts import subjects
from contracts.health import BackendCheck, CheckStatus, ProcessState
from observability.intake import processes as processes_module
from tests.support.fleets import BEGAN, Process, Site


@pytest.fixture
def site() -> Site:
    return Site()


def test_a_heartbeat_becomes_the_series_of_its_process(site: Site) -> None:
    checks = (
        BackendCheck(name="index", status=CheckStatus.OK, latency_ms=5),
        BackendCheck(name="cache", status=CheckStatus.DEGRADED),
        BackendCheck(name="model", status=CheckStatus.FAILING, latency_ms=100),
        BackendCheck(name="new", status=CheckStatus.UNKNOWN),
    )
    told = {
        "in_flight": 2,
        "oldest_in_flight_s": 1.5,
        "checks": checks,
        "last_progress_at": BEGAN + timedelta(seconds=5),
    }
    site.pass_(8, Process(progress=9, fields=told))
    who = '{service="embed",instance="embed-1"}'
    values = {
        "waggle_up": 1, "waggle_process_in_flight": 2, "waggle_process_oldest_in_flight_seconds": 1.5,
        "waggle_process_progress_total": 9, "waggle_process_clock_skew_seconds": 0,
        "waggle_process_start_time_seconds": BEGAN.timestamp(), "waggle_instance_conflicts_total": 0,
        "waggle_process_last_progress_timestamp_seconds": BEGAN.timestamp() + 5,
    }  # fmt: skip
    assert {name: site.value(name + who) for name in values} == values
    assert site.value('waggle_process_info{version="1",track="stable",host="h1"}') == 1
    assert site.value('waggle_process_state{state="ready"}') == 1
    assert {labels["backend"]: value for labels, value in site.all("waggle_backend_up").items()} == {
        "index": 1, "cache": 0.5, "model": 0,
    }  # fmt: skip
    assert site.value('waggle_backend_latency_seconds{backend="model"}') == 0.1


def test_what_a_process_was_before_has_ended_when_it_is_something_else(site: Site) -> None:
    process = Process(state=ProcessState.STARTING)
    site.pass_(4, process)
    process.state, process.version = ProcessState.READY, "2"
    site.pass_(4, process)
    assert [labels["state"] for labels in site.all("waggle_process_state")] == ["ready"]
    assert [labels["version"] for labels in site.all("waggle_process_info")] == ["2"]


def test_a_silent_process_is_dead_after_three_heartbeats_and_only_its_death_is_told(site: Site) -> None:
    process, other = Process(), Process(instance="embed-2")
    site.pass_(6, process, other)
    silent_since = site.now
    while site.value('waggle_up{instance="embed-1"}'):
        site.pass_(1, other)
    assert 9 < site.now - silent_since <= 12
    assert site.value('waggle_up{instance="embed-2"}') == 1
    assert site.all('{instance="embed-1",__name__!="waggle_up"}') == {}
    site.pass_(4, process, other)
    assert site.value('waggle_up{instance="embed-1"}') == 1
    assert site.value('waggle_process_in_flight{instance="embed-1"}') == 0


def test_a_dead_process_is_forgotten_after_ten_minutes(site: Site) -> None:
    other = Process(instance="embed-2")
    site.pass_(6, Process(), other)
    site.pass_(590, other)
    assert site.value('waggle_up{instance="embed-1"}') == 0
    site.pass_(30, other)
    assert site.all('{instance="embed-1"}') == {}


@pytest.mark.parametrize(("status", "stuck"), [(CheckStatus.OK, 0), (CheckStatus.FAILING, 1)])
def test_whether_it_gets_on_is_told_as_its_own_and_not_as_a_backends(
    site: Site, status: CheckStatus, stuck: int
) -> None:
    site.pass_(6, Process(fields={"checks": [BackendCheck(name="progress", status=status)]}))
    assert site.value("waggle_process_stuck") == stuck
    assert site.all("waggle_backend_up") == {}


def test_one_that_is_paused_is_alive_until_it_falls_silent(site: Site) -> None:
    process, other = Process(state=ProcessState.PAUSED), Process(instance="embed-2")
    site.pass_(60, process, other)
    assert site.value("min(min_over_time(waggle_up[1m]))") == 1
    assert site.value('waggle_process_state{instance="embed-1", state="paused"}') == 1
    site.pass_(30, other)
    assert site.value('waggle_up{instance="embed-1"}') == 0, "a pause is no ordered end"


def test_a_process_that_was_told_to_stop_is_not_dead_but_gone(site: Site) -> None:
    process, other = Process(), Process(instance="embed-2")
    site.pass_(6, process, other)
    process.state = ProcessState.DRAINING
    site.pass_(6, process, other)
    assert site.value('waggle_up{instance="embed-1"}') == 1
    site.pass_(30, other)
    assert site.all('{instance="embed-1"}') == {}
    assert not site.all('min_over_time(waggle_up{instance="embed-1"}[5m]) == 0')


@pytest.mark.parametrize("skew_s", [3600.0, -3600.0])
def test_a_clock_that_is_an_hour_off_fools_nobody(site: Site, skew_s: float) -> None:
    process = Process(
        skew_s=skew_s, started_s=-100, fields={"last_progress_at": BEGAN + timedelta(seconds=skew_s - 50)}
    )
    site.pass_(60, process)
    assert site.value("min_over_time(waggle_up[1m])") == 1
    assert site.value("waggle_process_clock_skew_seconds") == skew_s
    assert site.value("waggle_process_start_time_seconds") == pytest.approx(BEGAN.timestamp() - 100, abs=0.01)
    assert site.value("time() - waggle_process_last_progress_timestamp_seconds") == pytest.approx(110, abs=4)
    site.pass_(14)
    assert site.value("waggle_up") == 0


def test_a_restart_under_the_same_name_is_one_process_with_a_new_start_time(site: Site) -> None:
    site.pass_(10, Process(progress=100))
    site.pass_(3)
    site.pass_(10, Process(pid=8, started_s=12, progress=1))
    assert site.value("waggle_up") == 1
    assert site.value("changes(waggle_process_start_time_seconds[1m])") == 1
    assert site.value("resets(waggle_process_progress_total[1m])") == 1
    assert site.value("waggle_instance_conflicts_total") == 0


def test_two_processes_with_one_name_are_noticed_and_not_mixed(site: Site) -> None:
    older, younger = Process(progress=1000), Process(pid=8, started_s=-50, progress=5)  # clocks decide nothing
    site.pass_(9, older)
    site.pass_(30, older, younger)
    assert (site.value("waggle_instance_conflicts_total") or 0) >= 8
    assert site.value("resets(waggle_process_progress_total[1m])") == 1, "the younger one from when it came"
    assert site.value("waggle_process_progress_total") == 5
    conflicts = site.value("waggle_instance_conflicts_total")
    site.pass_(30, older)  # the younger one dies
    assert site.value("waggle_process_progress_total") == 1000
    assert (site.value("waggle_instance_conflicts_total") or 0) - (conflicts or 0) <= 4


def test_the_older_one_that_is_draining_is_no_conflict(site: Site) -> None:
    older = Process()
    site.pass_(9, older)
    older.state = ProcessState.DRAINING
    site.pass_(20, older, Process(pid=8, started_s=9))
    assert site.value("waggle_instance_conflicts_total") == 0
    assert site.value("waggle_process_state") == 1


def test_a_restart_under_another_name_ends_the_series_of_the_first(site: Site) -> None:
    first, beside = Process(instance="h1-7"), Process(instance="h1-6", pid=6)
    site.pass_(9, first, beside)
    site.pass_(30, Process(instance="h1-8", pid=8, started_s=9), beside)
    assert {labels["instance"] for labels in site.all("waggle_up")} == {"h1-8", "h1-6"}


def test_one_newcomer_takes_the_place_of_one(site: Site) -> None:
    first, second = Process(instance="h1-7"), Process(instance="h1-6", pid=6)
    site.pass_(9, first, second)
    site.pass_(60, Process(instance="h1-8", pid=8, started_s=9))
    assert site.value("count(waggle_up == 0)") == 1


def test_a_chosen_name_is_missed_though_another_process_came(site: Site) -> None:
    site.pass_(9, Process(instance="embed-1"))
    site.pass_(60, Process(instance="embed-2", pid=8, started_s=9))
    assert site.value('waggle_up{instance="embed-1"}') == 0


def test_nobody_is_dead_because_we_did_not_hear(site: Site) -> None:
    process = Process()
    site.pass_(10, process)
    site.pass_(120, listening=False)
    assert not site.all("count_over_time(waggle_up[110s])"), "nothing is known"
    site.pass_(8)  # the connection is there again
    assert site.value("min_over_time(waggle_up[5m])") == 1
    site.pass_(10)
    assert site.value("waggle_up") == 0


def test_nobody_is_dead_because_we_stood_still(site: Site) -> None:
    site.pass_(10, Process())
    site.now += 60
    site.intake.tick(listening=True)
    site.tell(Process())  # what had waited unread
    site.pass_(2)
    assert site.value("min_over_time(waggle_up[5m])") == 1


def test_nobody_is_judged_while_not_even_our_own_heartbeats_arrive() -> None:
    site = Site(own=("observer", "observer-1"))
    ours, other = Process(service="observer", instance="observer-1"), Process()
    site.pass_(10, ours, other)
    site.pass_(61)
    assert site.value('min_over_time(waggle_up{service="embed"}[5m])') == 1
    site.pass_(4, ours)  # what came back first
    site.pass_(3, ours, other)
    assert site.value('min_over_time(waggle_up{service="embed"}[5m])') == 1
    site.pass_(14, ours)
    assert site.value('waggle_up{service="embed"}') == 0


def test_a_heartbeat_of_our_own_that_is_late_puts_a_death_off_by_no_more_than_that() -> None:
    site = Site(own=("observer", "observer-1"))
    ours, other = Process(service="observer", instance="observer-1"), Process()
    site.pass_(12, ours, other)
    site.pass_(5)
    site.pass_(10, ours)
    assert site.value('waggle_up{service="embed"}') == 0


def test_a_flood_of_invented_processes_costs_no_living_one_its_place(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes_module, "MOST_PROCESSES", 20)
    real = Process()
    site.pass_(6, real)
    site.tell(*(Process(instance=f"x-{n}") for n in range(500)))
    assert len(site.intake.processes) == 20
    assert site.intake.processes.refused == 481
    site.pass_(20, real)
    site.tell(*(Process(instance=f"y-{n}") for n in range(500)))
    site.pass_(2, real)
    assert len(site.intake.processes) == 20
    assert site.value('waggle_up{instance="embed-1"}') == 1


def test_numbers_without_bound_stay_numbers(site: Site) -> None:
    body = json.loads(Process().beat(site.time).model_dump_json()) | {"progress": 10**400, "in_flight": 10**400}
    site.intake.heartbeat(subjects.health("embed", "embed-1"), json.dumps(body).encode())
    site.pass_(2)
    assert site.value("waggle_process_progress_total") == 2.0**63


def test_of_many_that_fall_silent_at_one_moment_all_are_late_when_the_first_is_dead(site: Site) -> None:
    processes = [Process(instance=f"embed-{number}") for number in range(3)]
    for second in range(12):
        site.tell(processes[second % 3])  # each every 3 s, in turns
        site.now += 1
        site.intake.tick(listening=True)
    assert not any(seen.late for seen in site.intake.processes.seen())

    while all(seen.alive for seen in site.intake.processes.seen()):
        site.now += 1
        site.intake.tick(listening=True)

    assert [seen.alive for seen in site.intake.processes.seen()].count(False) == 1
    assert all(seen.late for seen in site.intake.processes.seen())


def test_one_that_was_dead_is_late_for_a_while_after_it_is_back(site: Site) -> None:
    process, other = Process(), Process(instance="embed-2")
    site.pass_(6, process, other)
    site.pass_(15, other)
    assert [seen.alive for seen in site.intake.processes.seen()] == [False, True]

    site.pass_(4, process, other)
    assert [(seen.alive, seen.late) for seen in site.intake.processes.seen()] == [(True, True), (True, False)]
    site.pass_(9, process, other)
    assert not any(seen.late for seen in site.intake.processes.seen())


@pytest.mark.parametrize(
    "odd",
    [
        {"created_at": "0001-01-01T00:00:00+14:00"},
        {"created_at": "9999-12-31T23:59:59-14:00"},
        {"started_at": "0001-01-01T00:00:00+14:00", "created_at": "9999-12-31T23:59:59-14:00"},
        {"last_progress_at": "9999-12-31T23:59:59Z"},
        {"host": "", "version": "\x00"},
        {"host": "h" * 50_000},
        {"checks": [{"name": "index", "status": "ok", "latency_ms": 1e300}] * 200},
        {"checks": [{"name": f"b{n}", "status": "ok"} for n in range(500)]},
    ],
)
def test_whatever_a_heartbeat_says_the_judgement_goes_on(site: Site, odd: dict[str, object]) -> None:
    other = Process(instance="embed-2")
    for _ in range(3):
        body = json.loads(Process().beat(site.time).model_dump_json()) | odd
        site.intake.heartbeat(subjects.health("embed", "embed-1"), json.dumps(body).encode())
        site.pass_(4, other)
    assert site.value('waggle_up{instance="embed-1"}') == 1
    assert site.value('waggle_up{instance="embed-2"}') == 1
    series = site.all('{__name__=~".+",instance="embed-1"}')
    assert len(series) <= 64
    assert max(len(value) for labels in series for value in labels.values()) <= 256
    site.pass_(30, other)
    assert site.value('waggle_up{instance="embed-1"}') == 0
