"""Who runs in a stack, in which order, under which names."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from deploy.local.programs import Fleet, Program


def fleet(**options) -> Fleet:
    return Fleet(drain_timeout_s=25, **options)


def programs(wanted: Fleet) -> dict[str, Program]:
    return {program.name: program for group in wanted.groups() for program in group.programs}


def test_who_repairs_goes_first_then_who_watches_then_the_door_and_the_broker_last() -> None:
    groups = sorted(fleet(broker_command=("nats-server",)).groups(), key=lambda group: group.priority)

    assert [group.name for group in groups] == ["broker", "keepers", "workers", "door", "observers", "operators"]


def test_all_workers_stop_together() -> None:
    workers = next(group for group in fleet(replicas={"embed": 2}).groups() if group.name == "workers")

    assert {p.service for p in workers.programs} == {"ingest", "embed", "retrieve", "generate"}


def test_replicas_get_numbers() -> None:
    assert {"embed-1", "embed-2", "ingest-1"} <= set(programs(fleet(replicas={"embed": 2})))


def test_a_stack_with_somebody_elses_broker_has_none_of_its_own() -> None:
    assert "nats" not in programs(fleet())


def test_everything_but_the_broker_has_to_report_itself_ready() -> None:
    expected = fleet(broker_command=("nats-server",), replicas={"retrieve": 3}).expected()

    workers = {"keeper": 1, "ingest": 1, "embed": 1, "retrieve": 3, "generate": 1}
    assert expected == {**workers, "gateway": 1, "observer": 1, "operator": 1}


@pytest.mark.parametrize("service", ["observer", "operator"])
def test_a_stack_may_be_without_who_watches_and_who_repairs(service: str) -> None:
    assert service not in fleet(replicas={service: 0}).expected()


def test_the_recovery_key_is_named_to_who_gives_commands_and_who_carries_them_out_only(tmp_path: Path) -> None:
    named = {
        program.service
        for program in programs(fleet(recovery_key=tmp_path / "recovery.key")).values()
        if program.environment.get("WAGGLE_RECOVERY_KEY_FILE") == str(tmp_path / "recovery.key")
    }

    assert named == {"observer", "operator"}


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


def test_there_is_room_for_more_than_start() -> None:
    wanted = fleet(replicas={"embed": 2, "ingest": 5, "observer": 0, "operator": 0}, most_replicas=3)

    assert wanted.expected() == {"keeper": 1, "ingest": 5, "embed": 2, "retrieve": 1, "generate": 1, "gateway": 1}
    assert wanted.slots()["embed"] == ["embed-1", "embed-2", "embed-3"]
    assert len(wanted.slots()["ingest"]) == 5
    assert wanted.slots()["gateway"] == ["gateway"]
    assert len(wanted.slots()["observer"]) == 3


def test_the_broker_has_no_slot() -> None:
    assert "nats" not in fleet(broker_command=("nats-server",)).slots()
