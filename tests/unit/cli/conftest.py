"""A command line that talks to a gateway of a few lines."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from cli import main as command_line
from tests.support.commands import Ran
from tests.unit.cli.gateways import FakeGateway


@pytest.fixture
def fake_gateway(monkeypatch: pytest.MonkeyPatch) -> FakeGateway:
    made = FakeGateway()
    for module in ("ask", "documents", "evaluate", "fleet", "ingest", "load"):
        monkeypatch.setattr(f"cli.{module}.gateway", made.client)
    return made


@pytest.fixture
def waggle(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path) -> Callable[..., Ran]:
    """Runs `waggle …` in this process; returns exit code and output."""
    monkeypatch.setenv("WAGGLE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Ran:
        monkeypatch.setattr(sys, "argv", ["waggle", *arguments])
        with pytest.raises(SystemExit) as ended:
            command_line.main()
        out, err = capfd.readouterr()
        return Ran(int(ended.value.code or 0), out, err)

    return run
