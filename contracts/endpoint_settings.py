"""Types of settings that name endpoints."""

from __future__ import annotations

from pydantic import AfterValidator

from contracts.endpoints import parse_endpoints
from contracts.settings_source import variable


def endpoints_of(key: str, *, route: str = "") -> AfterValidator:
    """Requires endpoints, comma separated, as `parse_endpoints` reads them. `key` is the setting where a key belongs."""

    def require_endpoints(text: str) -> str:
        parse_endpoints(text, key_setting=variable(key), route=route)
        return text

    return AfterValidator(require_endpoints)
