"""The processes under test and their supervisor: what ends unasked is started again at once, as a platform does."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.faults.plans import FOLDER_VARIABLE
from tests.faults.worker import GATEWAY, ready_file
from tests.support.processes import ROOT
from tests.support.waiting import until

WATCH_S = 0.02
START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 40.0
LOG_TAIL_BYTES = 2000


@dataclass(frozen=True, kw_only=True)
class Exit:
    """A process that ended. `code` is negative for a signal; `asked`: the harness told it to."""

    name: str
    code: int
    asked: bool
    at: float


@dataclass(kw_only=True)
class Process:
    """One place in the fleet, whichever process fills it at the moment."""

    name: str
    service: str
    environment: Mapping[str, str]
    child: subprocess.Popen[bytes]
    wanted: bool = True

    @property
    def alive(self) -> bool:
        return self.child.poll() is None


@dataclass
class Fleet:
    """Starts, signals and restarts processes. `environment` is what all of them get."""

    folder: Path
    environment: Mapping[str, str]
    exits: list[Exit] = field(default_factory=list)
    _processes: dict[str, Process] = field(default_factory=dict)
    _sessions: list[int] = field(default_factory=list)

    def start(self, name: str, service: str, **environment: str) -> None:
        """Start `name`; `ready` tells when it works."""
        child = self._spawn(name, service, environment)
        self._processes[name] = Process(name=name, service=service, environment=environment, child=child)

    def __contains__(self, name: str) -> bool:
        return name in self._processes and self._processes[name].wanted

    def names(self, service: str | None = None) -> list[str]:
        return [p.name for p in self._processes.values() if p.wanted and service in (None, p.service)]

    def pid(self, name: str) -> int:
        return self._processes[name].child.pid

    def state(self, name: str) -> str:
        """psutil's word for what the kernel says: sleeping, stopped, …"""
        return str(psutil.Process(self.pid(name)).status())

    def name_of(self, pid: int) -> str:
        return next(p.name for p in self._processes.values() if p.child.pid == pid)

    def is_ready(self, name: str) -> bool:
        """Whether it takes messages; of the gateway only that it lives."""
        process = self._processes[name]
        return process.alive and (process.service == GATEWAY or ready_file(self.folder, process.child.pid).exists())

    async def ready(self, *names: str) -> None:
        """Wait until these, or all, take messages."""
        wanted = names or tuple(self.names())

        def all_ready() -> bool:
            return all(self.is_ready(name) for name in wanted)

        try:
            await until(all_ready, timeout_s=START_TIMEOUT_S)
        except AssertionError:
            late = [name for name in wanted if not self.is_ready(name)]
            raise AssertionError(f"not ready: {late}; the log of the first ends: {self.log_tail(late[0])}") from None

    def kill(self, name: str) -> float:
        """SIGKILL; the supervisor starts it again. Returns when, in seconds since the epoch."""
        at = time.time()
        self._signal(name, signal.SIGKILL)
        return at

    def freeze(self, name: str) -> None:
        self._signal(name, signal.SIGSTOP)

    def thaw(self, name: str) -> None:
        self._signal(name, signal.SIGCONT)

    async def stop(self, name: str, number: int = signal.SIGTERM) -> int:
        """End a process for good and return its exit code."""
        process = self._processes[name]
        process.wanted = False
        self._signal(name, number)
        await until(lambda: not process.alive, timeout_s=STOP_TIMEOUT_S, what=f"{name} ends: {self.log_tail(name)}")
        self._note(process, asked=True)
        code = process.child.returncode
        assert code is not None
        return int(code)

    async def supervise(self) -> None:
        """Until cancelled: start again what has ended unasked."""
        while True:
            for process in list(self._processes.values()):
                if process.wanted and not process.alive:
                    self._note(process, asked=False)
                    process.child = self._spawn(process.name, process.service, process.environment)
            await asyncio.sleep(WATCH_S)

    def crashes(self) -> list[Exit]:
        """Ends that nobody asked for; SIGKILL is the harness's own doing."""
        return [exit_ for exit_ in self.exits if not exit_.asked and exit_.code != -signal.SIGKILL]

    def end_all(self) -> None:
        """Kill everything that was ever started here, parser processes included."""
        for process in self._processes.values():
            process.wanted = False
        for session in self._sessions:
            with suppress(ProcessLookupError):
                os.killpg(session, signal.SIGKILL)
        for process in self._processes.values():
            process.child.wait()

    def log_tail(self, name: str) -> str:
        text = self._log(name).read_bytes()[-LOG_TAIL_BYTES:].decode(errors="replace")
        return f"\n{text}\n"

    def _signal(self, name: str, number: int) -> None:
        self._processes[name].child.send_signal(number)

    def _note(self, process: Process, *, asked: bool) -> None:
        code = process.child.returncode
        assert code is not None
        self.exits.append(Exit(name=process.name, code=code, asked=asked, at=time.time()))

    def _spawn(self, name: str, service: str, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with self._log(name).open("ab") as log:
            child = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker", service],
                cwd=ROOT,
                env={**dict(_inherited()), **self.environment, **environment, **self._own(name)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._sessions.append(child.pid)
        return child

    def _own(self, name: str) -> Mapping[str, str]:
        return {"WAGGLE_INSTANCE": name, FOLDER_VARIABLE: str(self.folder)}

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


def _inherited() -> Iterator[tuple[str, str]]:
    return ((name, value) for name, value in os.environ.items() if not name.startswith("WAGGLE_"))
