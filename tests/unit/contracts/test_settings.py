"""Settings are typed, explained, and wrong ones stop the process by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from contracts.settings import AllSettings, GatewaySettings, IngestSettings
from contracts.settings_reference import reference
from contracts.settings_source import ConfigurationError

REFERENCE = Path(__file__).parents[3] / "docs" / "configuration.md"


def test_the_checked_in_reference_is_up_to_date() -> None:
    assert REFERENCE.read_text(encoding="utf-8") == reference(), "run `make docs`"


@pytest.mark.parametrize("name", sorted(AllSettings.model_fields))
def test_every_setting_says_what_it_means_and_shows_an_example(name: str) -> None:
    field = AllSettings.model_fields[name]
    assert field.description
    assert field.examples


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "waggle.toml"
    file.write_text("chunk_tokens = 111\ngateway_port = 9999\n", encoding="utf-8")
    monkeypatch.setenv("WAGGLE_CONFIG", str(file))
    monkeypatch.setenv("WAGGLE_GATEWAY_PORT", "7777")
    assert IngestSettings.load().chunk_tokens == 111
    assert GatewaySettings.load().gateway_port == 7777


def test_an_unknown_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_CHUNK_TOKEN", "3")
    with pytest.raises(ConfigurationError, match="WAGGLE_CHUNK_TOKEN is not a setting"):
        IngestSettings.load()


def test_an_unknown_key_of_the_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "waggle.toml"
    file.write_text("chunk_token = 3\n", encoding="utf-8")
    monkeypatch.setenv("WAGGLE_CONFIG", str(file))
    with pytest.raises(ConfigurationError, match="chunk_token in"):
        IngestSettings.load()


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WAGGLE_CONFIG", str(tmp_path / "none.toml"))
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        IngestSettings.load()


def test_a_bad_value_is_explained_with_an_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_CHUNK_TOKENS", "many")
    with pytest.raises(ConfigurationError, match=r"WAGGLE_CHUNK_TOKENS: .* Example: WAGGLE_CHUNK_TOKENS=200"):
        IngestSettings.load()


def test_a_bad_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_PUBLISH_TIMEOUT_S", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        IngestSettings.load()
    assert "hunter2" not in str(caught.value)
