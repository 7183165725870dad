"""Writes the dashboards' files: `python -m deploy.dashboards.writing [FOLDER]`, as `make docs` does."""

from __future__ import annotations

import argparse
from pathlib import Path

from deploy.dashboards import FOLDER
from deploy.dashboards.catalogue import DASHBOARDS
from deploy.dashboards.grafana import rendered


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    folder: Path = parser.parse_args().folder
    for dashboard in DASHBOARDS:
        (folder / f"{dashboard.name}.json").write_text(rendered(dashboard), encoding="utf-8")


if __name__ == "__main__":
    main()
