"""What the dashboards ask for, as Grafana would ask it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from deploy.dashboards import FOLDER

VARIABLES: Final = {
    "__rate_interval": "1m",
    "service": ".+",
    "price_input": "1",
    "price_output": "2",
}
"""As they are without anything chosen; of the rate's interval what Grafana makes of samples each 15 s."""


@dataclass(frozen=True, slots=True)
class DashboardQuery:
    dashboard: str
    panel: str
    expression: str

    def __str__(self) -> str:
        return f"{self.dashboard}: {self.panel}: {self.expression}"


def dashboards() -> dict[str, dict[str, Any]]:
    """Each file's content, by its name."""
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob("*.json"))}


def dashboard_queries() -> Iterator[DashboardQuery]:
    """Every expression of every panel, variables replaced."""
    for name, dashboard in dashboards().items():
        for panel in dashboard["panels"]:
            for target in panel.get("targets", ()):
                yield DashboardQuery(name, panel["title"], replaced(target["expr"]))


def replaced(expression: str) -> str:
    """Raises `KeyError` for a variable that no dashboard has."""
    return re.sub(r"\$\{?(\w+)\}?", lambda match: VARIABLES[match[1]], expression)
