"""The whole of Waggle on one host: broker, keeper, workers, gateway, observer and operator under one supervisor."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping

from contracts.settings_source import variable
from deploy.local import leftovers, ports
from deploy.local.access import GIVEN, BrokerAccess
from deploy.local.addresses import Addresses, RunningStack
from deploy.local.errors import AlreadyRunningError, PortTakenError, StartError
from deploy.local.layout import Layout
from deploy.local.lock import locked
from deploy.local.logs import RunLogs
from deploy.local.nats_server import NatsServer, find_binary
from deploy.local.programs import BROKER, Fleet, Group
from deploy.local.stopping import stop
from deploy.local.supervision import ProcessInfo, Supervisor, SupervisorGoneError, configuration

SUPERVISOR_START_S = 15.0
BROKER_START_S = 30.0
PORT_PATIENCE_S = 10.0
"""A process that was just stopped may hold its port until its last thread is gone."""
POLL_S = 0.05


class LocalStack:
    """Starts and stops the processes of one data folder.

    `environment` is what every process gets on top of ours. `access` makes the users of a broker of its own: none where it is
    somebody else's. `provision` brings the broker's furniture about; it is
    called once the broker answers, before any worker starts. `logs` are those of this run.
    """

    def __init__(
        self,
        layout: Layout,
        *,
        fleet: Fleet,
        addresses: Addresses,
        environment: Mapping[str, str],
        provision: Callable[[], None],
        access: BrokerAccess | None = None,
    ) -> None:
        self.layout = layout
        self.fleet = fleet
        self.addresses = addresses
        self.environment = environment
        self.logs = RunLogs(layout)
        self.provision = provision
        self.access = access
        self._supervisor = Supervisor(layout)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, on_step: Callable[[str], None]) -> None:
        """Start everything; returns when all processes are started, ready or not.

        Raises `AlreadyRunningError`, `PortTakenError` or `StartError`; what was started by then is stopped again.
        """
        self.layout.create()
        with locked(self.layout):
            self._refuse_second()
            cleared = self._clear_leftovers(on_step)
            self._check_ports(patience_s=PORT_PATIENCE_S if cleared else 0.0)
            self._write_files()
            self.logs = RunLogs(self.layout)
            try:
                self._start_in_order(on_step)
            except BaseException:
                self.stop()
                raise

    def stop(self) -> None:
        """Stop everything in order, within a bound."""
        stop(self.layout)
        if self._process is not None:
            self._process.wait()

    def processes(self) -> list[ProcessInfo]:
        """What the supervisor knows of every process. Raises `StartError` when it is gone."""
        try:
            return self._supervisor.processes()
        except SupervisorGoneError as error:
            raise StartError(f"the supervisor ended: {error}", log=self.logs.tail("supervisord")) from error

    def _refuse_second(self) -> None:
        if not self._supervisor.answers():
            return
        running = RunningStack.read(self.layout)
        raise AlreadyRunningError(
            f"Waggle is already running{f' at {running.url}' if running else ''} (data in {self.layout.data_dir}). "
            "Stop it with `waggle down`, or start another one with its own WAGGLE_DATA_DIR."
        )

    def _clear_leftovers(self, on_step: Callable[[str], None]) -> bool:
        """Whether there were any."""
        found = leftovers.find(self.layout)
        if found:
            on_step(f"stopping what an earlier run left behind: {', '.join(sorted(found))}")
            leftovers.stop(found)
        return bool(found)

    def _check_ports(self, *, patience_s: float) -> None:
        address = self.addresses
        if not ports.becomes_free(address.host, address.gateway_port, timeout_s=patience_s):
            raise PortTakenError(
                f"Port {address.gateway_port} for the gateway is taken by {ports.owner(address.gateway_port)}. "
                "Choose another one: `waggle up --port 8090`, or `--port 0` for any that is free."
            )
        nats_port = address.nats_port
        if nats_port is not None and not ports.becomes_free("127.0.0.1", nats_port, timeout_s=patience_s):
            raise PortTakenError(
                f"Port {nats_port} for the broker is taken by {ports.owner(nats_port)}. To use that "
                f"broker: WAGGLE_NATS_URL={address.nats_url} waggle up. For one of our own: `waggle up --nats-port 0`."
            )

    def _write_files(self) -> None:
        if self.addresses.nats_port is not None:
            known = self.access.prepare() if self.access else ""
            NatsServer(self.layout.nats, port=self.addresses.nats_port, extra_config=known).write_config()
        text = configuration(self.layout, self.fleet.groups())
        self.layout.supervisor_config.write_text(text, encoding="utf-8")
        RunningStack(
            url=self.addresses.url,
            nats_url=self.addresses.nats_url,
            expected=self.fleet.expected(),
            slots=self.fleet.slots(),
            host_prefix=self.fleet.host_prefix,
            own_users=self.access is not None,
        ).write(self.layout)

    def _start_in_order(self, on_step: Callable[[str], None]) -> None:
        self._start_supervisor()
        broker, others = self.fleet.broker_group(), self.fleet.waggle_groups()
        if broker is not None:
            on_step("starting the broker")
            self._start_group(broker)
            self._await_broker()
        on_step("preparing streams and buckets")
        self.provision()
        on_step("starting the processes")
        for group in others:
            self._start_group(group)

    def _start_group(self, group: Group) -> None:
        for program in group.started():
            self._supervisor.start_program(group.name, program.name)

    def _start_supervisor(self) -> None:
        self.layout.supervisor_socket.unlink(missing_ok=True)
        with self.layout.supervisor_log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "supervisor.supervisord", "-n", "-c", str(self.layout.supervisor_config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self._inherited(), **self.environment},
                start_new_session=True,  # Ctrl-C is for us: we stop the others in order
            )
        for _ in _polling(SUPERVISOR_START_S):
            if self._supervisor.answers():
                return
            if self._process.poll() is not None:
                break
        raise StartError("The supervisor did not start.", log=self.logs.tail("supervisord"))

    def _inherited(self) -> dict[str, str]:
        """Our environment without what is shown another broker than our own."""
        foreign = set() if self.access is None else {variable(name) for name in GIVEN}
        return {name: value for name, value in os.environ.items() if name not in foreign}

    def _await_broker(self) -> None:
        for _ in _polling(BROKER_START_S):
            if ports.answers("127.0.0.1", self.addresses.nats_port or 0):
                return
            if any(p.name == BROKER and p.state == "FATAL" for p in self.processes()):
                break
        raise StartError("The broker did not start.", log=self.logs.tail(BROKER))


def broker_command(layout: Layout) -> tuple[str, ...]:
    """How the embedded broker is started. Raises `NatsServerError` when there is no nats-server."""
    return (str(find_binary()), "-c", str(NatsServer(layout.nats).config_file))


def _polling(timeout_s: float) -> Iterator[None]:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        yield
        time.sleep(POLL_S)
