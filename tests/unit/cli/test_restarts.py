"""What `waggle up` says of what it started, and of the processes that it keeps running."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import psutil
import pytest

from cli import stack as command
from contracts.settings import AllSettings
from deploy.local.layout import Layout
from deploy.local.programs import OBSERVER
from tests.unit.deploy.test_local_platform import LocalSite, unstarted


async def test_what_died_is_told_and_not_what_somebody_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "WATCH_S", 0.02)
    site = LocalSite(tmp_path)
    try:
        known = {process.name: process.pid for process in site.stack.processes()}
        await site.platform.restart("embed-1")
        await site.platform.scale("embed", 3)
        psutil.Process(known["keeper-1"]).kill()

        told = await asyncio.to_thread(next, command._restarts(site.stack, known))
    finally:
        await site.end()

    assert told.startswith("keeper-1 had ended and was started again")


@pytest.mark.parametrize(("services", "warned"), [(("embed", OBSERVER), True), (("embed",), False)])
def test_a_port_that_its_observer_cannot_have_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], services: tuple[str, ...], warned: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        settings = AllSettings.load(data_dir=tmp_path, observer_port=server.getsockname()[1])
        command._warn_of_figures(unstarted(Layout(tmp_path), services=services), settings)

    assert ("WAGGLE_OBSERVER_PORT" in capsys.readouterr().err) == warned
