"""Which processes make up a stack on one host, in which groups they start and stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

SERVICES = ("ingest", "embed", "retrieve", "generate")
"""The workers that may run any number of times."""

BROKER = "nats"
OBSERVER = "observer"
OPERATOR = "operator"
GATEWAY = "gateway"
BROKER_STOP_S = 20.0
GATEWAY_STOP_S = 10.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process: `name` is unique in the stack (`embed-2`), `service` says what it is (`embed`). A `spare` one is there
    to be started later.
    """

    name: str
    service: str
    command: tuple[str, ...]
    stop_wait_s: float
    environment: Mapping[str, str] = field(default_factory=dict)
    spare: bool = False


@dataclass(frozen=True, kw_only=True)
class Group:
    """Programs that stop together. Groups stop from the highest priority to the lowest, each once the one before is gone:
    first the operator (what stops on purpose is not to be started again), the observer (nor to alarm anybody), then the door,
    the workers (which finish what they have in hand), the keeper, and the broker last.
    """

    name: str
    priority: int
    programs: tuple[Program, ...]

    def started(self) -> tuple[Program, ...]:
        """The programs that start with the stack."""
        return tuple(program for program in self.programs if not program.spare)


@dataclass(frozen=True, kw_only=True)
class Fleet:
    """Who runs in a stack. `replicas` of a service not named is one; `host_prefix` keeps instances of several hosts apart.
    `recovery_key` is named to observer and operator only; `access` is what a process of a service shows the broker.

    Up to `most_replicas` of a service may be started later. They are declared from the beginning: a supervisor takes a program
    into a group only by stopping the whole group.
    """

    drain_timeout_s: float
    replicas: Mapping[str, int] = field(default_factory=dict)
    most_replicas: int = 1
    broker_command: tuple[str, ...] | None = None
    host_prefix: str = ""
    encoder_threads: int | None = None
    recovery_key: Path | None = None
    access: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def groups(self) -> tuple[Group, ...]:
        """All groups in the order of their start."""
        broker = self.broker_group()
        return (*((broker,) if broker else ()), *self.waggle_groups())

    def waggle_groups(self) -> tuple[Group, ...]:
        """The groups of our own processes."""
        keepers, observers, operators = (self._replicated(service) for service in ("keeper", OBSERVER, OPERATOR))
        workers = tuple(p for service in SERVICES for p in self._replicated(service))
        gateway = self._waggle(GATEWAY, GATEWAY, (GATEWAY,), stop_wait_s=GATEWAY_STOP_S)
        return (
            Group(name="keepers", priority=20, programs=keepers),
            Group(name="workers", priority=50, programs=workers),
            Group(name="door", priority=90, programs=(gateway,)),
            Group(name="observers", priority=95, programs=observers),
            Group(name="operators", priority=96, programs=operators),
        )

    def expected(self) -> dict[str, int]:
        """How many processes of each service must report themselves ready; the broker reports nothing."""
        counted: dict[str, int] = {}
        for program in (p for g in self.waggle_groups() for p in g.started()):
            counted[program.service] = counted.get(program.service, 0) + 1
        return counted

    def slots(self) -> dict[str, list[str]]:
        """The programs that there are of each service, started or not, in their order."""
        named: dict[str, list[str]] = {}
        for program in (p for g in self.waggle_groups() for p in g.programs):
            named.setdefault(program.service, []).append(program.name)
        return named

    def broker_group(self) -> Group | None:
        """The broker alone; None when it is somebody else's."""
        if self.broker_command is None:
            return None
        broker = Program(name=BROKER, service=BROKER, command=self.broker_command, stop_wait_s=BROKER_STOP_S)
        return Group(name="broker", priority=10, programs=(broker,))

    def _replicated(self, service: str) -> tuple[Program, ...]:
        count = self.replicas.get(service, 1)
        return tuple(
            self._waggle(
                f"{service}-{n}", service, ("worker", service), stop_wait_s=self.drain_timeout_s + 5, spare=n > count
            )
            for n in range(1, max(count, self.most_replicas) + 1)
        )

    def _waggle(
        self, name: str, service: str, arguments: tuple[str, ...], *, stop_wait_s: float, spare: bool = False
    ) -> Program:
        environment = {"WAGGLE_INSTANCE": f"{self.host_prefix}{name}", **self.access.get(service, {})}
        if threads := self._threads(service):
            environment["WAGGLE_ENCODER_THREADS"] = str(threads)
        if self.recovery_key is not None and service in {OBSERVER, OPERATOR}:
            environment["WAGGLE_RECOVERY_KEY_FILE"] = str(self.recovery_key)
        return Program(
            name=name,
            service=service,
            # -P: a folder named like one of our packages in the current directory must not shadow it.
            command=(sys.executable, "-P", "-m", "cli", *arguments),
            stop_wait_s=stop_wait_s,
            environment=environment,
            spare=spare,
        )

    def _threads(self, service: str) -> int | None:
        """Replicas of embed share the cores among themselves; the others know best what they need."""
        if self.encoder_threads or service != "embed":
            return self.encoder_threads
        return max(1, len(os.sched_getaffinity(0)) // max(1, self.replicas.get(service, 1)))


def recording_pid(command: tuple[str, ...], file: Path) -> tuple[str, ...]:
    """`command`, having first written its own process id to `file`.

    supervisord keeps the ids of its children only in memory: were it killed, nobody could find them again.
    """
    return ("/bin/sh", "-c", 'echo $$ >"$0"; exec "$@"', str(file), *command)
