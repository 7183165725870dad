"""supervisord as our process supervisor: its configuration, and the conversation with it over a local socket."""

from __future__ import annotations

import http.client
import shlex
import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from xmlrpc.client import Fault, ServerProxy

from supervisor.xmlrpc import Faults, SupervisorTransport

from deploy.local.layout import Layout
from deploy.local.programs import Group, Program, recording_pid

START_SECONDS = 15
"""A process that lives this long counts as started; one that ends sooner is tried again, each time a second later."""
START_RETRIES = 60
"""Half an hour of trying: what is broken outside may come back."""
LOG_BYTES = "10MB"
LOG_BACKUPS = 3
CALL_S = 10.0
"""How long the supervisor may take to answer: it does nothing that takes longer before it does."""


def configuration(layout: Layout, groups: Sequence[Group]) -> str:
    """The text of supervisord.conf. Nothing starts by itself: the stack starts groups in order."""
    sections = [_daemon(layout)]
    for group in groups:
        sections += [_group(group), *(_program(layout, program) for program in group.programs)]
    return "\n".join(sections)


def _daemon(layout: Layout) -> str:
    socket = _escaped(str(layout.supervisor_socket))
    return (
        _section("unix_http_server", {"file": socket, "chmod": "0700"})
        + _section(
            "supervisord",
            {
                "logfile": _escaped(str(layout.supervisor_log)),
                "logfile_maxbytes": LOG_BYTES,
                "logfile_backups": str(LOG_BACKUPS),
                "pidfile": _escaped(str(layout.supervisor_pid)),
                "childlogdir": _escaped(str(layout.logs)),
                "nodaemon": "true",
                "silent": "true",
            },
        )
        + _section(
            "rpcinterface:supervisor",
            {"supervisor.rpcinterface_factory": "supervisor.rpcinterface:make_main_rpcinterface"},
        )
    )


def _group(group: Group) -> str:
    names = ",".join(program.name for program in group.programs)
    return _section(f"group:{group.name}", {"programs": names, "priority": str(group.priority)})


def _program(layout: Layout, program: Program) -> str:
    return _section(
        f"program:{program.name}",
        {
            "command": _escaped(shlex.join(recording_pid(program.command, layout.pid(program.name)))),
            "environment": _escaped(",".join(f'{k}="{v}"' for k, v in program.environment.items())),
            "autostart": "false",
            "autorestart": "true",
            "startsecs": str(START_SECONDS),
            "startretries": str(START_RETRIES),
            "stopwaitsecs": str(int(program.stop_wait_s)),
            "killasgroup": "true",  # parser processes go with their worker
            "redirect_stderr": "true",
            "stdout_logfile": _escaped(_escaped(str(layout.log(program.name)))),  # this one it expands twice
            "stdout_logfile_maxbytes": LOG_BYTES,
            "stdout_logfile_backups": str(LOG_BACKUPS),
        },
    )


def _section(name: str, values: Mapping[str, str]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())


def _escaped(value: str) -> str:
    """supervisord expands `%(…)s` in every value."""
    return value.replace("%", "%%")


@dataclass(frozen=True, kw_only=True)
class ProcessInfo:
    """What supervisord knows of a program. `state` is its word: STOPPED, STARTING, RUNNING, BACKOFF, FATAL, …"""

    name: str
    group: str
    state: str
    pid: int
    exit_status: int
    started_at: int
    stopped_at: int
    detail: str


class SupervisorGoneError(Exception):
    """Nobody answers on the supervisor's socket."""


class _Connection(http.client.HTTPConnection):
    """To a socket in the file system. The library's own waits for ever."""

    def __init__(self, file: str) -> None:
        super().__init__("localhost", timeout=CALL_S)
        self._file = file

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(CALL_S)
        self.sock.connect(self._file)


class _Transport(SupervisorTransport):  # type: ignore[misc]  # the library has no types
    def __init__(self, url: str) -> None:
        super().__init__(None, None, url)
        self._get_connection = lambda: _Connection(url.removeprefix("unix://"))


class Supervisor:
    """The running supervisord of a stack. Every call raises `SupervisorGoneError` when there is none."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def answers(self) -> bool:
        try:
            self.pid()
        except SupervisorGoneError:
            return False
        return True

    def pid(self) -> int:
        return int(cast("int", self._call("getPID")))

    def processes(self) -> list[ProcessInfo]:
        found = cast("list[dict[str, Any]]", self._call("getAllProcessInfo"))
        return [
            ProcessInfo(
                name=p["name"],
                group=p["group"],
                state=p["statename"],
                pid=p["pid"],
                exit_status=p["exitstatus"],
                started_at=p["start"],
                stopped_at=p["stop"],
                detail=p["spawnerr"] or p["description"],
            )
            for p in found
        ]

    def stop_waits(self) -> dict[str, float]:
        """The seconds that each program may take to stop before it is killed."""
        found = cast("list[dict[str, Any]]", self._call("getAllConfigInfo"))
        return {p["name"]: float(p["stopwaitsecs"]) for p in found}

    def start_program(self, group: str, name: str) -> None:
        """Start a program without waiting for it; one that runs goes on. One that cannot be run is tried again, as its
        state tells.
        """
        self._call("startProcess", f"{group}:{name}", False, tolerating={Faults.ALREADY_STARTED, Faults.SPAWN_ERROR})

    def stop_program(self, group: str, name: str) -> None:
        """Have a program stop without waiting for it; one that does not run stays as it is."""
        self._call("stopProcess", f"{group}:{name}", False, tolerating={Faults.NOT_RUNNING})

    def shut_down(self) -> None:
        """Ask it to stop all groups in order and end."""
        self._call("shutdown")

    def _call(self, method: str, *arguments: object, tolerating: Collection[int] = ()) -> object:
        # A transport keeps one connection and is not safe to reuse after an error: one for each call.
        transport = _Transport(self._layout.supervisor_url)
        try:
            with ServerProxy("http://127.0.0.1", transport=transport) as proxy:
                return getattr(proxy.supervisor, method)(*arguments)
        except (OSError, http.client.HTTPException) as error:
            raise SupervisorGoneError(f"no supervisor answers on {self._layout.supervisor_socket}") from error
        except Fault as fault:
            if fault.faultString.startswith("SHUTDOWN_STATE"):
                raise SupervisorGoneError("the supervisor is shutting down") from fault
            if fault.faultCode not in tolerating:
                raise
            return None
