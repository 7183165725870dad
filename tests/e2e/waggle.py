"""The command `waggle` as a person runs it, with a data folder and ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.local.ports import free_port

COMMAND_S = 240.0


@dataclass(frozen=True, kw_only=True)
class Waggle:
    """Runs commands against one data folder. The ports stay the same over restarts, as they do for people."""

    data_dir: Path
    port: int = field(default_factory=free_port)
    nats_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def up(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self("up", "--detach", "--port", str(self.port), "--nats-port", str(self.nats_port), *options)

    def __call__(self, *arguments: str, code: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run to the end; fail unless it ends with `code` (None takes any)."""
        ran = subprocess.run(
            self._command(*arguments),
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        assert code is None or ran.returncode == code, f"{arguments} ended {ran.returncode}\n{ran.stdout}\n{ran.stderr}"
        return ran

    def json(self, *arguments: str, code: int | None = 0) -> Any:
        return json.loads(self(*arguments, "--json", code=code).stdout)

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        """Start without waiting for the end."""
        return subprocess.Popen(
            self._command(*arguments),
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def begin_up(self) -> subprocess.Popen[str]:
        """`waggle up` in the foreground."""
        return self.begin("up", "--port", str(self.port), "--nats-port", str(self.nats_port))

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "cli", *arguments]

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAGGLE_")}
        return {**inherited, "WAGGLE_DATA_DIR": str(self.data_dir), "COLUMNS": "200"}


def interrupt(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Ctrl-C; returns exit code and output."""
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=COMMAND_S)
    return process.returncode, output
