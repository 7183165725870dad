"""Dashboards for Grafana, as files to import: `python -m deploy.dashboards.writing` writes them from the tables here."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Where the files lie."""
