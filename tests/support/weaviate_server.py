"""A real Weaviate server for tests, with API keys and role-based access control switched on."""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Self

import httpx
import pytest

from tests.support.freezing import freeze, thaw

INSTALL = "GOFLAGS= go install github.com/weaviate/weaviate/cmd/weaviate-server@v1.35.2"
START_TIMEOUT_S = 90.0
STOP_TIMEOUT_S = 30.0

ADMIN_KEY, WAGGLE_KEY, READER_KEY, STRANGER_KEY = "admin-key", "waggle-key", "reader-key", "stranger-key"
USERS = {ADMIN_KEY: "admin", WAGGLE_KEY: "waggle", READER_KEY: "reader", STRANGER_KEY: "stranger"}


class WeaviateServerError(Exception):
    """The server could not be started; the message holds the end of its log."""


def find_binary() -> Path | None:
    """The server on PATH, else where `go install` puts it; None when there is none."""
    on_path = shutil.which("weaviate-server")
    if on_path is not None:
        return Path(on_path)
    go = shutil.which("go")
    if go is None:
        return None
    home = subprocess.run([go, "env", "GOPATH"], capture_output=True, text=True, check=True).stdout.strip()
    built = Path(home) / "bin" / "weaviate-server"
    return built if built.is_file() else None


def require_binary() -> Path:
    """The server's program. Without one the test is skipped, or fails where engines are required."""
    binary = find_binary()
    if binary is None:
        reason = f"weaviate-server is not installed: {INSTALL}"
        if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
            pytest.fail(reason)
        pytest.skip(reason)
    return binary


class WeaviateServer:
    """One server with a data folder of its own. Its ports stay the same over restarts.

    Four users have keys: the admin, and three without any rights until somebody gives them a role. With `certificate`
    and `key` it speaks TLS. Methods block until done.
    """

    def __init__(
        self,
        directory: Path,
        binary: Path,
        *,
        name: str = "node1",
        certificate: Path | None = None,
        key: Path | None = None,
    ) -> None:
        self.directory = directory
        self.name = name
        self.members: Sequence[WeaviateServer] = (self,)
        """The servers of its cluster, the one that the others join first."""
        self._binary = binary
        self._certificate = certificate
        self._key = key
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def scheme(self) -> str:
        return "https" if self._certificate else "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self._ports['http']}"

    @property
    def grpc_port(self) -> int:
        return self._ports["grpc"]

    @property
    def gossip_port(self) -> int:
        return self._ports["gossip"]

    @property
    def log_file(self) -> Path:
        return self.directory / "weaviate.log"

    def start(self) -> None:
        """Start the server and wait until it is ready."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._command(), env=self._environment(), stdout=log, stderr=log)
        self._await_ready(self._process)

    def stop(self) -> None:
        """Let the server shut down in order (SIGTERM)."""
        self._end(lambda process: process.terminate())

    def kill(self) -> None:
        """End the server at once, as a crash would (SIGKILL)."""
        self._end(lambda process: process.kill())

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
        self.stop()

    @cached_property
    def _ports(self) -> dict[str, int]:
        """Free ports, all different: they are held until all are chosen. Gossip and Raft each take the next one, too."""
        with ExitStack() as held:
            pairs = {name: _pair_of_ports(held) for name in ("gossip", "raft")}
            return {**pairs, **{name: _hold(held, 0) for name in ("http", "grpc", "profiling", "metrics")}}

    def _command(self) -> list[str]:
        port = str(self._ports["http"])
        if self._certificate is None:
            return [str(self._binary), "--scheme", "http", "--host", "127.0.0.1", "--port", port]
        listening = ["--scheme", "https", "--tls-host", "127.0.0.1", "--tls-port", port]
        return [str(self._binary), *listening, "--tls-certificate", str(self._certificate), "--tls-key", str(self._key)]

    def _environment(self) -> dict[str, str]:
        ports = {name: str(port) for name, port in self._ports.items()}
        return {
            **os.environ,
            "PERSISTENCE_DATA_PATH": str(self.directory / "data"),
            "DEFAULT_VECTORIZER_MODULE": "none",
            "ENABLE_MODULES": "",
            "CLUSTER_HOSTNAME": self.name,
            "CLUSTER_IN_LOCALHOST": "true",
            "CLUSTER_ADVERTISE_ADDR": "127.0.0.1",
            "CLUSTER_ADVERTISE_PORT": ports["gossip"],
            "CLUSTER_GOSSIP_BIND_PORT": ports["gossip"],
            "CLUSTER_DATA_BIND_PORT": str(self._ports["gossip"] + 1),
            "RAFT_BOOTSTRAP_EXPECT": str(len(self.members)),
            "RAFT_PORT": ports["raft"],
            "RAFT_INTERNAL_RPC_PORT": str(self._ports["raft"] + 1),
            "RAFT_JOIN": ",".join(f"{member.name}:{member._ports['raft']}" for member in self.members),
            "CLUSTER_JOIN": "" if self.members[0] is self else f"127.0.0.1:{self.members[0].gossip_port}",
            "REPLICATION_MINIMUM_FACTOR": str(len(self.members)),
            "GRPC_PORT": ports["grpc"],
            "GO_PROFILING_PORT": ports["profiling"],
            "PROMETHEUS_MONITORING_PORT": ports["metrics"],
            "DISABLE_TELEMETRY": "true",
            "LOG_LEVEL": "warning",
            "GOMEMLIMIT": "1GiB",
            "AUTHENTICATION_ANONYMOUS_ACCESS_ENABLED": "false",
            "AUTHENTICATION_APIKEY_ENABLED": "true",
            "AUTHENTICATION_APIKEY_ALLOWED_KEYS": ",".join(USERS),
            "AUTHENTICATION_APIKEY_USERS": ",".join(USERS.values()),
            "AUTHORIZATION_RBAC_ENABLED": "true",
            "AUTHORIZATION_RBAC_ROOT_USERS": USERS[ADMIN_KEY],
            **(
                {"GRPC_CERT_FILE": str(self._certificate), "GRPC_KEY_FILE": str(self._key)} if self._certificate else {}
            ),
        }

    def _await_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not self._is_ready():
            if process.poll() is not None:
                raise WeaviateServerError(f"weaviate-server ended with code {process.returncode}: {self._log_end()}")
            if time.monotonic() > deadline:
                self.kill()
                raise WeaviateServerError(f"not ready within {START_TIMEOUT_S:.0f} s: {self._log_end()}")
            time.sleep(0.1)

    def _is_ready(self) -> bool:
        try:
            verify = ssl.create_default_context(cafile=self._certificate)
            ready = httpx.get(f"{self.url}/v1/.well-known/ready", timeout=2, trust_env=False, verify=verify)
        except httpx.TransportError:
            return False
        return ready.is_success

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

    def _log_end(self) -> str:
        return self.log_file.read_text(encoding="utf-8", errors="replace")[-2000:].strip()


def _hold(held: ExitStack, port: int) -> int:
    probe = held.enter_context(socket.socket())
    probe.bind(("127.0.0.1", port))
    return int(probe.getsockname()[1])


def _pair_of_ports(held: ExitStack) -> int:
    """The first of two free ports in a row."""
    while True:
        first = _hold(held, 0)
        try:
            _hold(held, first + 1)
        except OSError:
            continue
        return first
