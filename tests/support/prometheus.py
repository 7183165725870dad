"""A real Prometheus as a child process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.prometheus_programs import PrometheusProgram, require


class Prometheus(PrometheusProgram):
    """One Prometheus that scrapes `jobs` several times a second."""

    def __init__(self, directory: Path, jobs: Sequence[Mapping[str, Any]]) -> None:
        binary = require("prometheus", package="prometheus")
        config = {"global": {"scrape_interval": "250ms", "scrape_timeout": "200ms"}, "scrape_configs": list(jobs)}
        data = f"--storage.tsdb.path={directory / 'data'}"
        super().__init__(directory, binary, yaml.safe_dump(config), data, "--log.level=warn")

    async def value(self, expression: str) -> float | None:
        """The one value that an expression yields now, None when there is none."""
        found = await self._get("query", query=expression)
        assert len(found["result"]) <= 1, found
        return float(found["result"][0]["value"][1]) if found["result"] else None

    async def targets(self) -> dict[str, str]:
        """By job whether it could be scraped, and why not."""
        found = await self._get("targets")
        return {each["labels"]["job"]: each["lastError"] or each["health"] for each in found["activeTargets"]}

    async def _get(self, path: str, **parameters: str) -> dict[str, Any]:
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            answer = await client.get(f"{self.url}/api/v1/{path}", params=parameters)
        found: dict[str, Any] = answer.raise_for_status().json()["data"]
        return found
