"""docs/signals.md says what the series of the intake are, all of them and no other."""

from __future__ import annotations

from pathlib import Path

from observability.intake import CATALOGUE

LINES = (Path(__file__).parents[4] / "docs" / "signals.md").read_text(encoding="utf-8").splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("| `waggle_")]


def test_the_table_is_the_catalogue() -> None:
    told = {row[0].strip("`"): (row[1], row[3]) for row in ROWS}
    assert told == {name: (metadata.kind.value, metadata.help) for name, metadata in CATALOGUE.items()}
