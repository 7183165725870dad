"""All dashboards."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.answers import ANSWERS
from deploy.dashboards.fleet import ALERTS, HOSTS, OVERVIEW
from deploy.dashboards.queues import BROKER, PIPELINE

DASHBOARDS: Final = (OVERVIEW, PIPELINE, ANSWERS, BROKER, HOSTS, ALERTS)
