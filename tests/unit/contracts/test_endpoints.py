"""Endpoints in a setting: what they mean, and what is said of those that are wrong."""

from __future__ import annotations

import re

import pytest

from contracts.endpoints import Balance, EndpointAddress, parse_endpoints
from contracts.settings import GenerateSettings
from contracts.settings_source import ConfigurationError


def parse(text: str) -> tuple[EndpointAddress, ...]:
    return parse_endpoints(text, key_setting="WAGGLE_GENERATOR_API_KEY")


def test_weights_and_standbys_are_read() -> None:
    assert parse("http://a:8000/v1, http://b:8000/v1/ ; weight=3,https://c.example/v1;standby;weight=2,") == (
        EndpointAddress(url="http://a:8000/v1"),
        EndpointAddress(url="http://b:8000/v1", weight=3),
        EndpointAddress(url="https://c.example/v1", weight=2, standby=True),
    )


@pytest.mark.parametrize(
    ("url", "host", "port", "root"),
    [
        ("http://a:8000/v1", "a", 8000, "http://a:8000"),
        ("https://c.example/v1", "c.example", 443, "https://c.example"),
        ("http://[::1]/models/v1", "::1", 80, "http://[::1]/models"),
        ("http://a:8000", "a", 8000, "http://a:8000"),
    ],
)
def test_an_address_knows_its_host_and_what_lies_beside_the_api(url: str, host: str, port: int, root: str) -> None:
    (address,) = parse(url)
    assert (address.host, address.port, address.root) == (host, port, root)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" , ", "names no endpoint"),
        ("a:8000/v1", "'a:8000/v1' is not an address"),
        ("ftp://a/v1", "begins with http:// or https://"),
        ("http:///v1", "is not an address"),
        ("http://a b/v1", "is not an address"),
        ("http://a:80000/v1", "has a port that is not one of 1 to 65535"),
        ("http://a:0/v1", "has a port"),
        ("http://a:x/v1", "has a port"),
        ("http://a/v1;weight=0", "'weight=0' of http://a/v1 is not a weight from 1 to 1000"),
        ("http://a/v1;weight=1.5", "is not a weight"),
        ("http://a/v1;wait=3", "'wait=3' of http://a/v1 is neither weight=N nor standby"),
        ("http://a/v1;", "'' of http://a/v1 is neither"),
        ("http://a/v1,http://a/v1/", "http://a/v1 is named twice"),
        ("http://a/v1;standby,http://b/v1;standby", "every endpoint is a standby"),
        ("http://a/v1/chat/completions", "give what comes before /chat/completions"),
    ],
)
def test_a_wrong_address_is_explained(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    "text", ["http://me:honey@a/v1", "http://honey@a/v1", "http://a/v1?key=honey", "http://a/v1#honey"]
)
def test_a_secret_in_an_address_is_refused_and_not_repeated(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_GENERATOR_ENDPOINTS", text)
    with pytest.raises(ConfigurationError, match="a key belongs in WAGGLE_GENERATOR_API_KEY") as refused:
        GenerateSettings.load()
    assert "honey" not in str(refused.value)


def test_a_weight_that_nobody_heeds_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_GENERATOR_ENDPOINTS", "http://a/v1; weight=3, http://b/v1")
    assert GenerateSettings.load().generator_balance is Balance.LEAST_CONNECTIONS
    monkeypatch.setenv("WAGGLE_GENERATOR_BALANCE", "round_robin")
    with pytest.raises(ConfigurationError, match=r"WAGGLE_GENERATOR_BALANCE: .*weights"):
        GenerateSettings.load()


def test_a_key_from_a_file_may_end_in_a_newline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_GENERATOR_API_KEY", "sk-honey\n")
    key = GenerateSettings.load().generator_api_key
    assert key is not None
    assert key.get_secret_value() == "sk-honey"


@pytest.mark.parametrize("key", ["sk honey", "sk-hon\ney", "sk-höney"])
def test_a_key_that_no_header_carries_is_refused_and_not_repeated(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_GENERATOR_API_KEY", key)
    with pytest.raises(ConfigurationError, match="WAGGLE_GENERATOR_API_KEY") as refused:
        GenerateSettings.load()
    assert "ney" not in str(refused.value)
