"""How busy and how full this host is, by the semantic conventions for systems; told by one process of a host."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import psutil
import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from observability.snapshots import Snapshot

log = structlog.get_logger(__name__)

_MODES = {
    "user": ("user", "nice"),
    "system": ("system",),
    "iowait": ("iowait",),
    "interrupt": ("irq", "softirq"),
    "steal": ("steal",),
    "idle": ("idle",),
}
"""The conventions' modes of a processor, made of psutil's. Guests are counted in `user` already."""
_MEMORY = ("used", "free", "cached")
"""They add up. `used` is what cannot be given to others, `cached` what holds copies of files until somebody needs room."""
_LOOPBACK = "lo"


class Turn:
    """Whose turn it is to tell of the host: the process that holds a name, until it ends, however it ends.

    The name is that of a socket without a file (Linux's abstract namespace), which one process of a host or container can
    have. `fleet` keeps fleets on one host apart. Where there are no such names every process tells: the same twice is
    better than nothing.
    """

    def __init__(self, fleet: str) -> None:
        self._name = f"\0waggle-host-{os.getuid()}-{fleet}"
        self._holding: socket.socket | None = None
        self._everybodys = sys.platform != "linux"

    def is_ours(self) -> bool:
        """Whether it is this process's turn; asks for it if nobody has it."""
        if self._holding is None and not self._everybodys:
            self._ask()
        return self._everybodys or self._holding is not None

    def give_up(self) -> None:
        """Another process may tell from now on."""
        holding, self._holding = self._holding, None
        if holding is not None:
            holding.close()

    def _ask(self) -> None:
        asking = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            asking.bind(self._name)
        except OSError as error:
            asking.close()
            if error.errno != errno.EADDRINUSE:
                log.warning("figures of the host are told by every process", reason=str(error))
                self._everybodys = True
        else:
            self._holding = asking


class HostFigures:
    """Reads the figures of the host when they are collected and it is this process's turn.

    Of filesystems those that hold `/` and `data_dir`. Network and disks are summed up: names of interfaces and devices
    come and go with containers.
    """

    def __init__(self, turn: Turn, *, data_dir: Path) -> None:
        self._turn = turn
        self._mounts = _mounts(data_dir)
        self._cpu = _cpu_times()
        self._snapshot = Snapshot(self._read)

    def measure(self, meter: Meter) -> None:
        """Tell the figures by `meter`, from now on."""
        meter.create_observable_gauge(
            "system.cpu.utilization",
            [self._told("cpu", "cpu.mode", tuple(_MODES))],
            unit="1",
            description="Share of the processors' time, by what it is spent on.",
        )
        meter.create_observable_up_down_counter(
            "system.cpu.logical.count",
            [self._told("cpus")],
            unit="{cpu}",
            description="Logical processors.",
        )
        meter.create_observable_up_down_counter(
            "system.memory.usage",
            [self._told("memory", "system.memory.state", _MEMORY)],
            unit="By",
            description="Memory, by what it is used for.",
        )
        meter.create_observable_gauge(
            "system.memory.utilization",
            [self._told("memory share", "system.memory.state", _MEMORY)],
            unit="1",
            description="Share of the memory, by what it is used for.",
        )
        meter.create_observable_up_down_counter(
            "system.memory.limit", [self._told("memory limit")], unit="By", description="Memory of the host."
        )
        meter.create_observable_up_down_counter(
            "system.filesystem.usage", [self._filesystems("bytes")], unit="By", description="Space of a filesystem."
        )
        meter.create_observable_gauge(
            "system.filesystem.utilization",
            [self._filesystems("share")],
            unit="1",
            description="Share of a filesystem's space.",
        )
        meter.create_observable_counter(
            "system.network.io",
            [self._told("network", "network.io.direction", ("receive", "transmit"))],
            unit="By",
            description="Bytes over all networks but the loopback.",
        )
        meter.create_observable_counter(
            "system.disk.io",
            [self._told("disk", "disk.io.direction", ("read", "write"))],
            unit="By",
            description="Bytes of all disks.",
        )

    def _told(
        self, figure: str, attribute: str = "", values: tuple[str, ...] = ("",)
    ) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """One observation for each value of an attribute."""
        return self._observed(
            {f"{figure} {value}".strip(): {attribute: value} if attribute else {} for value in values}
        )

    def _filesystems(self, what: str) -> Callable[[CallbackOptions], Iterable[Observation]]:
        return self._observed(
            {
                f"{mount} {state} {what}": {"system.filesystem.mountpoint": mount, "system.filesystem.state": state}
                for mount in self._mounts
                for state in ("used", "free")
            }
        )

    def _observed(self, named: Mapping[str, Mapping[str, str]]) -> Callable[[CallbackOptions], Iterable[Observation]]:
        """Attributes by the figure they belong to; of those that can be read on this host, while it is our turn."""

        def told(_: CallbackOptions) -> Iterable[Observation]:
            if not self._turn.is_ours():
                return []
            figures = self._snapshot.all()
            return [Observation(figures[name], attributes) for name, attributes in named.items() if name in figures]

        return told

    def _read(self) -> dict[str, float]:
        return {
            "cpus": psutil.cpu_count() or 1,
            **self._processors(),
            **_memory(),
            **{name: value for mount in self._mounts for name, value in _space(mount).items()},
            **_network(),
            **_disks(),
        }

    def _processors(self) -> dict[str, float]:
        """Shares since the last look; of a moment too short for the clock the whole is idle."""
        before, self._cpu = self._cpu, _cpu_times()
        spent = {mode: max(0.0, self._cpu[mode] - before[mode]) for mode in _MODES}
        whole = sum(spent.values())
        if whole <= 0:
            return {f"cpu {mode}": 1.0 if mode == "idle" else 0.0 for mode in _MODES}
        return {f"cpu {mode}": seconds / whole for mode, seconds in spent.items()}


def _cpu_times() -> dict[str, float]:
    times = psutil.cpu_times()
    return {mode: sum(getattr(times, part, 0.0) for part in parts) for mode, parts in _MODES.items()}


def _memory() -> dict[str, float]:
    memory = psutil.virtual_memory()
    states: Mapping[str, float] = {
        "used": memory.total - memory.available,
        "free": memory.free,
        "cached": max(0, memory.available - memory.free),
    }
    return {
        "memory limit": memory.total,
        **{f"memory {state}": value for state, value in states.items()},
        **{f"memory share {state}": value / memory.total for state, value in states.items()},
    }


def _space(mount: str) -> dict[str, float]:
    try:
        usage = psutil.disk_usage(mount)
    except OSError as error:  # unmounted, or not to be seen: its series end
        log.debug("a filesystem cannot be looked at", mount=mount, reason=str(error))
        return {}
    whole = usage.used + usage.free  # what a process without special rights may fill, as `df` counts it
    shares = {"used": usage.used / whole, "free": usage.free / whole} if whole else {}
    return {
        f"{mount} used bytes": usage.used,
        f"{mount} free bytes": usage.free,
        **{f"{mount} {state} share": share for state, share in shares.items()},
    }


def _network() -> dict[str, float]:
    interfaces = [counters for name, counters in psutil.net_io_counters(pernic=True).items() if name != _LOOPBACK]
    return {
        "network receive": sum(counters.bytes_recv for counters in interfaces),
        "network transmit": sum(counters.bytes_sent for counters in interfaces),
    }


def _disks() -> dict[str, float]:
    counters = psutil.disk_io_counters()
    return {} if counters is None else {"disk read": counters.read_bytes, "disk write": counters.write_bytes}


def _mounts(data_dir: Path) -> tuple[str, ...]:
    """Where the filesystems of `/` and of the data folder (or of the nearest folder there is) are mounted."""
    place = data_dir.absolute()
    while not os.path.ismount(place) and place != place.parent:
        place = place.parent
    return tuple(sorted({"/", str(place)}))
