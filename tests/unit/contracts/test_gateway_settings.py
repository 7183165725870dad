"""Whose pages may use the gateway."""

from __future__ import annotations

import pytest

from contracts.gateway_settings import GatewaySettings
from contracts.settings_source import ConfigurationError


def test_none_by_default_and_those_that_are_named() -> None:
    assert GatewaySettings().allowed_origins == ()
    found = GatewaySettings(cors_origins="https://a.example, http://localhost:3000,").allowed_origins
    assert found == ("https://a.example", "http://localhost:3000")


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "https://*.example",
        "https://a.example/",
        "a.example",
        "https://u:p@a.example",
        "null",
        "file://a",
        "http://",
        "https://A.example",
        "https://a.example:443",
        "http://a.example:80",
    ],
)
def test_what_is_no_origin_is_refused(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("WAGGLE_CORS_ORIGINS", text)

    with pytest.raises(ConfigurationError, match="WAGGLE_CORS_ORIGINS"):
        GatewaySettings.load()
