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


def test_addresses_of_brokers_hold_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://queen:honey@hive:4222")
    with pytest.raises(ConfigurationError, match="WAGGLE_NATS_USER and WAGGLE_NATS_PASSWORD") as refused:
        AllSettings.load()
    assert "honey" not in str(refused.value)


@pytest.mark.parametrize("url", ["foo://hive:4222", "http://hive:4222", "nats://hive:4222, ws://hive:8080", " , "])
def test_addresses_that_no_broker_has_are_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("WAGGLE_NATS_URL", url)
    with pytest.raises(ConfigurationError, match="WAGGLE_NATS_URL: "):
        AllSettings.load()
    monkeypatch.setenv("WAGGLE_NATS_URL", "nats://a:4222, tls://b:4222,c:4222")
    AllSettings.load()


@pytest.mark.parametrize("name", ["WAGGLE_ENCODER_ENDPOINTS", "WAGGLE_RERANKER_ENDPOINTS"])
@pytest.mark.parametrize(
    ("given", "said"),
    [("gpu-1:8000", "http://"), ("http://a,http://a/", "twice"), ("http://queen:honey@hive", "key")],
)
def test_addresses_of_model_servers_are_addresses_without_secrets(
    monkeypatch: pytest.MonkeyPatch, name: str, given: str, said: str
) -> None:
    monkeypatch.setenv(name, given)
    with pytest.raises(ConfigurationError, match=f"{name}: .*{said}") as refused:
        AllSettings.load()
    assert "honey" not in str(refused.value)
    monkeypatch.setenv(name, "http://gpu-1:8000/v1, https://gpu-2")
    AllSettings.load()


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


def test_nothing_is_said_of_settings_that_only_follow_from_a_bad_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_CACHE", "reddis")
    with pytest.raises(ConfigurationError, match="WAGGLE_CACHE: ") as refused:
        AllSettings.load()
    assert "WAGGLE_INDEX_PATH" not in str(refused.value)


def test_a_bad_secret_is_not_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_PUBLISH_TIMEOUT_S", "hunter2")
    with pytest.raises(ConfigurationError) as caught:
        IngestSettings.load()
    assert "hunter2" not in str(caught.value)
