"""Programs of the Prometheus project as child processes: they are found, started and asked whether they are ready alike."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

import httpx
import pytest

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0


def require(*names: str, package: str) -> str:
    """The program of one of these names, or the test is skipped; with `WAGGLE_REQUIRE_ENGINES=1` it fails."""
    found = next((path for name in names if (path := shutil.which(name))), None)
    if found is not None:
        return found
    reason = f"no {names[0]} here: apt-get install {package}"
    if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
        pytest.fail(reason)
    pytest.skip(reason)


class PrometheusProgram:
    """A server of theirs on a free port, with its file and its log in `directory`."""

    def __init__(self, directory: Path, binary: str, config: str, *options: str) -> None:
        """`options` are added to those for the file and the address."""
        self._log = directory / "log.txt"
        self._file = directory / "config.yml"
        self._file.write_text(config, encoding="utf-8")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            address = f"127.0.0.1:{probe.getsockname()[1]}"
        self.url = f"http://{address}"
        self._command = [binary, f"--config.file={self._file}", f"--web.listen-address={address}", *options]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        self._await_ready(self._process)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(STOP_TIMEOUT_S)

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"{self._command[0]} ended with {process.returncode}: {self._log_end()}")
            try:
                if httpx.get(f"{self.url}/-/ready", timeout=1, trust_env=False).is_success:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.02)
        self.__exit__()
        raise AssertionError(f"{self._command[0]} was not ready within {START_TIMEOUT_S:g} s: {self._log_end()}")

    def _log_end(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")[-1000:]
