"""The policy that is shipped: what is done against which cause, and how far by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

POLICY: Final = Path(__file__).parent / "policy.yaml"
"""Where the file lies."""
