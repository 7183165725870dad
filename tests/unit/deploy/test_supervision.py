"""The supervisor's configuration, as supervisord itself reads it."""

from __future__ import annotations

from pathlib import Path

import pytest
from supervisor.options import ServerOptions

from deploy.local.layout import Layout
from deploy.local.programs import Group, Program
from deploy.local.supervision import Supervisor, SupervisorGoneError, configuration


def read(layout: Layout, *groups: Group) -> ServerOptions:
    layout.create()
    layout.supervisor_config.write_text(configuration(layout, groups), encoding="utf-8")
    options = ServerOptions()
    options.realize(args=["-n", "-c", str(layout.supervisor_config)])
    return options


def group(name: str, priority: int, **environment: str) -> Group:
    program = Program(
        name=f"{name}-1", service=name, command=("echo", "a b", "100%"), stop_wait_s=7, environment=environment
    )
    return Group(name=name, priority=priority, programs=(program,))


def test_groups_keep_their_order(tmp_path: Path) -> None:
    options = read(Layout(tmp_path), group("door", 90), group("broker", 10))

    assert [g.name for g in sorted(options.process_group_configs)] == ["broker", "door"]


def test_commands_and_folders_with_spaces_and_percent_signs_survive(tmp_path: Path) -> None:
    options = read(Layout(tmp_path / "50% of it"), group("embed", 50, WAGGLE_INSTANCE="embed-1"))
    program = options.process_group_configs[0].process_configs[0]

    assert "'a b'" in program.command
    assert program.command.endswith("100%")
    assert program.environment == {"WAGGLE_INSTANCE": "embed-1"}
    assert "50% of it" in program.stdout_logfile


def test_a_program_writes_down_its_process_id_before_it_becomes_itself(tmp_path: Path) -> None:
    options = read(Layout(tmp_path), group("embed", 50))
    command = options.process_group_configs[0].process_configs[0].command

    assert str(Layout(tmp_path).pid("embed-1")) in command
    assert command.startswith("/bin/sh -c")


def test_nothing_starts_before_it_is_told_to(tmp_path: Path) -> None:
    options = read(Layout(tmp_path), group("embed", 50))

    assert not options.process_group_configs[0].process_configs[0].autostart


def test_a_supervisor_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    supervisor = Supervisor(Layout(tmp_path))

    assert not supervisor.answers()
    with pytest.raises(SupervisorGoneError):
        supervisor.processes()
