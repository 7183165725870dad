"""A stack put together from settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.settings import AllSettings
from contracts.settings_source import ConfigurationError
from deploy.local.assembly import assemble, replicas_of


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WAGGLE_NATS_URL", "WAGGLE_INDEX_PATH", "WAGGLE_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)


def test_without_a_broker_named_it_runs_one_of_its_own(tmp_path: Path) -> None:
    stack = assemble(AllSettings.load(data_dir=tmp_path), port=0, nats_port=4999)

    assert stack.addresses.nats_url == "nats://127.0.0.1:4999"
    assert stack.fleet.broker_group() is not None


def test_a_broker_that_is_named_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://broker:4222")

    stack = assemble(AllSettings.load(data_dir=tmp_path))

    assert stack.addresses.nats_url == "nats://broker:4222"
    assert stack.fleet.broker_group() is None
    assert stack.fleet.host_prefix


def test_port_zero_takes_a_free_one(tmp_path: Path) -> None:
    stack = assemble(AllSettings.load(data_dir=tmp_path), port=0, nats_port=0)

    assert stack.addresses.gateway_port > 0
    assert stack.addresses.nats_port


def test_the_index_lies_in_the_data_folder_unless_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert assemble(AllSettings.load(data_dir=tmp_path)).environment["WAGGLE_INDEX_PATH"] == str(tmp_path / "index")

    monkeypatch.setenv("WAGGLE_INDEX_PATH", "/elsewhere")
    assert assemble(AllSettings.load(data_dir=tmp_path)).environment["WAGGLE_INDEX_PATH"] == "/elsewhere"


def test_replicas_are_counts_of_known_services() -> None:
    assert replicas_of(["embed=2", "retrieve=3", "observer=0"]) == {"embed": 2, "retrieve": 3, "observer": 0}


@pytest.mark.parametrize("option", ["embed", "embed=", "embed=0", "embed=x", "queen=2", "gateway=2"])
def test_wrong_replicas_are_refused_with_an_example(option: str) -> None:
    with pytest.raises(ValueError, match="embed=2"):
        replicas_of([option])


def test_there_is_room_for_as_many_replicas_as_the_setting_says(tmp_path: Path) -> None:
    stack = assemble(AllSettings.load(data_dir=tmp_path, max_replicas=5), replicas={"embed": 2})

    assert stack.fleet.slots()["embed"] == [f"embed-{n}" for n in range(1, 6)]
    assert stack.fleet.expected()["embed"] == 2


def test_more_replicas_than_the_setting_allows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="WAGGLE_MAX_REPLICAS"):
        assemble(AllSettings.load(data_dir=tmp_path, max_replicas=2), replicas={"embed": 3})
