"""All rows, in the order in which they are run and printed. A new row is a class in the module of its theme, and a name here."""

from __future__ import annotations

from tests.faults.row import Row
from tests.faults.rows.kills import Kills

ROWS: tuple[type[Row], ...] = (Kills,)

__all__ = ["ROWS"]
