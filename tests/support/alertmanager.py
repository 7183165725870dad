"""A real Alertmanager as a child process, and its tool for routes."""

from __future__ import annotations

from pathlib import Path

from tests.support.prometheus_programs import PrometheusProgram, require

PACKAGE = "prometheus-alertmanager"


class Alertmanager(PrometheusProgram):
    """One Alertmanager; `config` is its file."""

    def __init__(self, directory: Path, config: str) -> None:
        binary = require("prometheus-alertmanager", "alertmanager", package=PACKAGE)
        data = f"--storage.path={directory / 'data'}"
        super().__init__(directory, binary, config, data, "--cluster.listen-address=")


def amtool() -> str:
    """The tool's path, or the test is skipped."""
    return require("amtool", package=PACKAGE)
