"""The command `waggle` as a person runs it, with a data folder and ports of its own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from deploy.local.ports import free_port

COMMAND_S = 600.0
READY_S = 540.0
"""On a busy machine a stack takes many times as long as on an idle one."""

LIGHT = {"WAGGLE_ENCODER": "simulated", "WAGGLE_ENCODER_SIMULATED_MS": "0"}
"""Settings of a stack that loads no model: it finds by keywords, and starts in a fraction of the time."""

ALONE = ("--replicas", "observer=0,operator=0")
"""Who watches and who repairs costs a start and cpu; a journey that is about it asks for one: `--replicas observer=1`."""


@dataclass(frozen=True)
class Running:
    """A command that was begun, and the file that it writes to."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.end()

    def end(self) -> int:
        """Wait for the end; returns the exit code."""
        return self.process.wait(COMMAND_S)

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(COMMAND_S)


@dataclass(frozen=True, kw_only=True)
class Waggle:
    """Runs commands against one data folder. The ports stay the same over restarts, as they do for people."""

    data_dir: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    """Variables that every command is given."""
    port: int = field(default_factory=free_port)
    nats_port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def nats_url(self) -> str:
        return f"nats://127.0.0.1:{self.nats_port}"

    @property
    def _ports(self) -> tuple[str, ...]:
        return ("--port", str(self.port), "--nats-port", str(self.nats_port))

    def up(self, *options: str) -> subprocess.CompletedProcess[str]:
        return self("up", "--detach", *self._ports, *ALONE, "--timeout", str(READY_S), *options)

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

    def begin(self, *arguments: str) -> Running:
        """Start without waiting for the end."""
        log = self.data_dir.parent / f"{arguments[0]}.out"
        with log.open("w", encoding="utf-8") as output:
            process = subprocess.Popen(
                self._command(*arguments),
                env=self._environment(),
                stdout=output,
                stderr=subprocess.STDOUT,
                preexec_fn=_hear_interrupts,  # noqa: PLW1509  (of a single thread)
            )
        return Running(process, log)

    def begin_up(self) -> Running:
        """`waggle up` in the foreground."""
        return self.begin("up", *self._ports, *ALONE, "--timeout", str(READY_S))

    @property
    def shown(self) -> dict[str, str]:
        """The headers of a request to its gateway, with the key of this host."""
        return {"Authorization": f"Bearer {(self.data_dir / 'admin.key').read_text(encoding='ascii').strip()}"}

    def http(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30, headers=self.shown)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "cli", *arguments]

    def _environment(self) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("WAGGLE_")}
        return {**inherited, **self.settings, "WAGGLE_DATA_DIR": str(self.data_dir), "COLUMNS": "200"}


def _hear_interrupts() -> None:
    """A shell has what it starts in the background ignore Ctrl-C, and whatever is started from there, these tests included."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
