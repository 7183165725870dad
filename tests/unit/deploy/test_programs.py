"""Who runs in a stack, in which order, under which names."""

from __future__ import annotations

import os

import pytest

from deploy.local.programs import Fleet, Program


def fleet(**options) -> Fleet:
    return Fleet(drain_timeout_s=25, **options)


def programs(wanted: Fleet) -> dict[str, Program]:
    return {program.name: program for group in wanted.groups() for program in group.programs}


def test_the_door_closes_first_and_the_broker_goes_last() -> None:
    groups = sorted(fleet(broker_command=("nats-server",)).groups(), key=lambda group: group.priority)

    assert [group.name for group in groups] == ["broker", "keepers", "workers", "door"]


def test_all_workers_stop_together() -> None:
    workers = next(group for group in fleet(replicas={"embed": 2}).groups() if group.name == "workers")

    assert {p.service for p in workers.programs} == {"ingest", "embed", "retrieve", "generate"}


def test_replicas_get_numbers() -> None:
    assert {"embed-1", "embed-2", "ingest-1"} <= set(programs(fleet(replicas={"embed": 2})))


def test_a_stack_with_somebody_elses_broker_has_none_of_its_own() -> None:
    assert "nats" not in programs(fleet())


def test_everything_but_the_broker_has_to_report_itself_ready() -> None:
    expected = fleet(broker_command=("nats-server",), replicas={"retrieve": 3}).expected()

    assert expected == {"keeper": 1, "ingest": 1, "embed": 1, "retrieve": 3, "generate": 1, "gateway": 1}


def test_instances_of_several_hosts_are_kept_apart() -> None:
    embed = programs(fleet(host_prefix="hive-"))["embed-1"]

    assert embed.environment["WAGGLE_INSTANCE"] == "hive-embed-1"


def test_replicas_of_an_encoder_share_the_cores() -> None:
    cores = len(os.sched_getaffinity(0))
    threads = programs(fleet(replicas={"embed": cores}))["embed-1"].environment["WAGGLE_ENCODER_THREADS"]

    assert threads == "1"


def test_an_encoder_of_questions_chooses_its_threads_itself() -> None:
    assert "WAGGLE_ENCODER_THREADS" not in programs(fleet())["retrieve-1"].environment


@pytest.mark.parametrize("service", ["embed", "retrieve"])
def test_threads_that_were_asked_for_are_kept(service: str) -> None:
    assert programs(fleet(encoder_threads=3))[f"{service}-1"].environment["WAGGLE_ENCODER_THREADS"] == "3"


def test_a_worker_may_take_its_drain_time_to_stop() -> None:
    assert programs(fleet())["ingest-1"].stop_wait_s > 25
