"""What the doctor finds, and what it advises."""

from __future__ import annotations

import os
import socket
from collections import namedtuple
from pathlib import Path

import psutil
import pytest

from contracts.model_settings import RerankerKind
from contracts.settings import AllSettings
from deploy.checkup import broker, files, host
from deploy.checkup.finding import Level
from deploy.local.addresses import RunningStack
from deploy.local.layout import Layout
from deploy.local.nats_server import NatsServer
from deploy.recovery import POLICY

GiB = 1024**3


@pytest.fixture
def settings(tmp_path: Path) -> AllSettings:
    return AllSettings.load(data_dir=tmp_path)


@pytest.mark.parametrize(("free", "level"), [(100 * GiB, Level.OK), (2 * GiB, Level.WARN), (GiB // 2, Level.FAIL)])
def test_a_disk_that_runs_full_is_noticed(settings, monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    usage = namedtuple("usage", "total used free")  # noqa: PYI024  (as shutil has it)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(100 * GiB, 0, free))

    finding = host.disk(settings)

    assert finding.level is level
    assert bool(finding.advice) is (level is not Level.OK)


def test_a_data_folder_that_is_not_there_yet_is_judged_by_the_one_above(tmp_path: Path) -> None:
    assert host.disk(AllSettings.load(data_dir=tmp_path / "a" / "b")).level is not Level.FAIL


def test_a_port_that_is_taken_fails_with_the_option_that_helps(settings: AllSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = host.listening(settings.model_copy(update={"gateway_port": port}))

    assert found[0].level is Level.FAIL
    assert "--port 0" in found[0].advice


def test_a_port_of_the_observer_that_somebody_has_is_a_warning(settings: AllSettings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = host.listening(settings.model_copy(update={"observer_port": port}))

    assert found[-1].level is Level.WARN
    assert str(os.getpid()) in found[-1].detail
    assert "WAGGLE_OBSERVER_PORT" in found[-1].advice


@pytest.mark.parametrize(("ours", "levels"), [(False, [Level.OK, Level.WARN]), (True, [Level.OK])])
def test_while_the_stack_runs_only_its_own_observer_may_have_that_port(
    settings: AllSettings, monkeypatch: pytest.MonkeyPatch, ours: bool, levels: list[Level]
) -> None:
    running = RunningStack(url="http://127.0.0.1:1", nats_url="nats://127.0.0.1:4222", expected={})
    monkeypatch.setattr(RunningStack, "read", lambda _: running)
    stack = {"observer-1": psutil.Process()} if ours else {"observer-1": psutil.Process(os.getppid())}
    monkeypatch.setattr("deploy.local.leftovers.find", lambda _: stack)

    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        found = host.listening(settings.model_copy(update={"observer_port": port}))

    assert [each.level for each in found] == levels


def test_the_packaged_model_is_found_and_a_name_is_warned_about(settings: AllSettings) -> None:
    assert [found.level for found in host.models(settings)] == [Level.OK]
    (found,) = host.models(settings.model_copy(update={"encoder_model": "somebody/model"}))
    assert (found.level, "WAGGLE_ENCODER_MODEL" in found.advice) == (Level.WARN, True)


def test_a_folder_of_a_model_that_is_not_there_fails(settings: AllSettings, tmp_path: Path) -> None:
    (found,) = host.models(settings.model_copy(update={"encoder_model": str(tmp_path / "nothing")}))
    assert (found.level, "WAGGLE_ENCODER_MODEL=" in found.detail) == (Level.FAIL, True)


def test_the_model_of_a_reranker_in_the_process_is_looked_for_too(settings: AllSettings, tmp_path: Path) -> None:
    chosen = settings.model_copy(update={"reranker": RerankerKind.CROSS_ENCODER})
    assert [found.level for found in host.models(chosen)] == [Level.OK, Level.WARN]
    there = chosen.model_copy(update={"reranker_model": str(tmp_path)})
    assert [found.level for found in host.models(there)] == [Level.OK, Level.OK]


async def test_credentials_that_cannot_be_read_are_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setenv("WAGGLE_NATS_TLS_CA", str(tmp_path / "nothing"))

    (finding,) = await broker.connection(AllSettings.load(data_dir=tmp_path))

    assert (finding.level, "WAGGLE_NATS_TLS_CA" in finding.detail) == (Level.FAIL, True)


def test_the_program_of_the_broker_is_found(settings: AllSettings) -> None:
    assert "2." in broker.program(settings).detail


async def test_a_running_broker_is_looked_at(
    nats_server: NatsServer, monkeypatch: pytest.MonkeyPatch, tmp_path
) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", nats_server.url)

    found = {f.check: f for f in await broker.connection(AllSettings.load(data_dir=tmp_path))}

    assert found["broker"].level is Level.OK
    assert found["jetstream"].level is Level.OK


async def test_the_broker_that_commands_go_to_is_looked_at_and_not_that_of_the_stack(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    running = RunningStack(url="http://127.0.0.1:1", nats_url="nats://127.0.0.1:4222", expected={})
    monkeypatch.setattr(RunningStack, "read", lambda _: running)
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setattr(broker, "CONNECT_S", 0.3)

    (finding,) = await broker.connection(AllSettings.load(data_dir=tmp_path))

    assert finding.detail == "nobody answers at nats://127.0.0.1:9"


def test_what_a_killed_supervisor_left_behind_is_named_with_what_ends_it(
    settings: AllSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("deploy.local.leftovers.find", lambda _: {"nats": object(), "embed-1": object()})

    (finding,) = host.listening(settings)

    assert finding.level is Level.FAIL
    assert finding.detail.endswith("embed-1, nats")
    assert "waggle down" in finding.advice


async def test_a_broker_that_is_away_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://127.0.0.1:9")
    monkeypatch.setattr(broker, "CONNECT_S", 0.3)

    (finding,) = await broker.connection(AllSettings.load(data_dir=tmp_path))

    assert finding.level is Level.FAIL
    assert "WAGGLE_NATS_URL" in finding.advice


def test_a_broker_that_may_lose_what_it_acknowledged_fails(settings: AllSettings) -> None:
    server = NatsServer(Layout(settings.data_dir).nats, port=4222)
    file = server.write_config()
    assert broker.sync_interval(settings).level is Level.OK

    file.write_text(server.config().replace("sync_interval: always", "sync_interval: 2m"), encoding="utf-8")

    assert broker.sync_interval(settings).level is Level.FAIL


def test_what_cannot_be_seen_of_somebody_elses_broker_is_a_warning(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://elsewhere:4222")

    assert broker.sync_interval(AllSettings.load(data_dir=tmp_path)).level is Level.WARN


@pytest.mark.parametrize(("name", "check"), [("notify_config", "notifications"), ("recovery_policy", "recovery")])
def test_a_file_that_is_named_has_to_be_there_and_to_be_understood(tmp_path: Path, name: str, check: str) -> None:
    file = tmp_path / "named.yaml"
    named = AllSettings.load(data_dir=tmp_path, **{name: file})

    (missing,) = files.named(named)
    file.write_text("nonsense: [", encoding="utf-8")
    (bad,) = files.named(named)

    assert [(each.check, each.level) for each in (missing, bad)] == [(check, Level.FAIL)] * 2
    assert f"WAGGLE_{name.upper()}" in missing.advice


def test_files_that_are_not_named_are_not_asked_for(settings) -> None:
    assert list(files.named(settings)) == []


def test_the_shipped_policy_is_understood(tmp_path: Path) -> None:
    (found,) = files.named(AllSettings.load(data_dir=tmp_path, recovery_policy=POLICY))
    assert found.level is Level.OK
