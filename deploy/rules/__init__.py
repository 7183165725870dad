"""The rules that are shipped: Prometheus rule files, one a subject."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
"""Where the files lie."""
