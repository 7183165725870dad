"""Where the local stack keeps what it needs: everything below one folder."""

from __future__ import annotations

import errno
import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from contracts.settings import StateSettings
from contracts.settings_source import ConfigurationError

_LONGEST_SOCKET_PATH = 90
"""The kernel allows 107 bytes, and supervisord binds to the name with its process id appended first."""


@dataclass(frozen=True)
class Layout:
    """The files of one local stack. `data_dir` is absolute."""

    data_dir: Path

    @property
    def run(self) -> Path:
        return self.data_dir / "run"

    @property
    def logs(self) -> Path:
        return self.data_dir / "logs"

    @property
    def nats(self) -> Path:
        return self.data_dir / "nats"

    @property
    def index(self) -> Path:
        return self.data_dir / "index"

    @property
    def recovery_key(self) -> Path:
        """What observer and operator sign and judge commands with."""
        return self.data_dir / "recovery.key"

    @property
    def admin_key(self) -> Path:
        """An API key with which commands on this host do everything."""
        return self.data_dir / "admin.key"

    @property
    def nats_users(self) -> Path:
        """Seeds with which the broker lets processes and commands in."""
        return self.data_dir / "nats-users"

    @property
    def lock(self) -> Path:
        return self.run / "lock"

    @property
    def state(self) -> Path:
        """What runs here: addresses and replicas, for the other commands."""
        return self.run / "stack.json"

    @property
    def supervisor_config(self) -> Path:
        return self.run / "supervisord.conf"

    @property
    def supervisor_pid(self) -> Path:
        return self.run / "supervisord.pid"

    @property
    def supervisor_log(self) -> Path:
        return self.logs / "supervisord.log"

    @property
    def supervisor_socket(self) -> Path:
        """In the folder itself, unless its path is too long for a socket."""
        inside = self.run / "supervisor.sock"
        if len(os.fsencode(inside)) <= _LONGEST_SOCKET_PATH:
            return inside
        digest = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"waggle-{os.getuid()}-{digest}.sock"

    @property
    def supervisor_url(self) -> str:
        return f"unix://{self.supervisor_socket}"

    def pid(self, program: str) -> Path:
        return self.run / f"{program}.pid"

    def log(self, program: str) -> Path:
        return self.logs / f"{program}.log"

    def stacks(self, service: str, instance: str) -> Path:
        """Where a process writes its stacks (`messaging.stack_dumps`)."""
        return self.logs / f"{service}-{instance}.stacks"

    def pids(self) -> list[Path]:
        """The pid files of all programs that were ever started here, supervisord's own left out."""
        return sorted(path for path in self.run.glob("*.pid") if path != self.supervisor_pid)

    def create(self) -> None:
        """Make the folders. Raises `ConfigurationError` when that cannot be."""
        try:
            for folder in (self.run, self.logs, self.nats):
                folder.mkdir(parents=True, exist_ok=True)
                if not os.access(folder, os.W_OK):
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise ConfigurationError(
                f"The data folder {self.data_dir} cannot be used ({error.strerror}): set WAGGLE_DATA_DIR to a folder of "
                "yours."
            ) from error


def layout_of(settings: StateSettings) -> Layout:
    """The files of the stack that these settings name."""
    return Layout(settings.data_dir.absolute())
