"""Where the local stack keeps its files."""

from __future__ import annotations

import os
from pathlib import Path

from deploy.local.layout import Layout


def test_the_socket_lies_in_the_folder() -> None:
    assert Layout(Path("/var/lib/waggle")).supervisor_socket == Path("/var/lib/waggle/run/supervisor.sock")


def test_a_folder_too_deep_for_a_socket_gets_one_elsewhere_of_its_own() -> None:
    deep, deeper = Path("/") / ("x" * 120), Path("/") / ("x" * 121)

    sockets = {Layout(deep).supervisor_socket, Layout(deeper).supervisor_socket}

    assert len(sockets) == 2
    assert all(len(os.fsencode(socket)) < 90 for socket in sockets)


def test_pid_files_of_programs_leave_out_the_supervisors_own(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    layout.create()
    for file in (layout.pid("embed-1"), layout.pid("nats"), layout.supervisor_pid):
        file.write_text("1", encoding="utf-8")

    assert [file.stem for file in layout.pids()] == ["embed-1", "nats"]
