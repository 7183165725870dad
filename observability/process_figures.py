"""What this process takes of its host, by the semantic conventions for processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable

import psutil
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from observability.snapshots import Snapshot

Callback = Callable[[CallbackOptions], Iterable[Observation]]


class ProcessFigures:
    """Reads the figures of the running process when they are collected."""

    def __init__(self, process: psutil.Process | None = None) -> None:
        self._process = process or psutil.Process()
        self._began = self._process.create_time()
        self._cpu_s = sum(self._process.cpu_times()[:2])
        self._at = time.monotonic()
        self._snapshot = Snapshot(self._read)

    def measure(self, meter: Meter) -> None:
        """Tell the figures by `meter`, from now on."""
        meter.create_observable_counter(
            "process.cpu.time",
            [self._told_by("cpu.mode", "user", "system")],
            unit="s",
            description="Processor time spent.",
        )
        meter.create_observable_gauge(
            "process.cpu.utilization",
            [self._told("utilization")],
            unit="1",
            description="Share of the host's processors in use by the process.",
        )
        meter.create_observable_up_down_counter(
            "process.memory.usage", [self._told("rss")], unit="By", description="Physical memory in use."
        )
        meter.create_observable_up_down_counter(
            "process.memory.virtual", [self._told("vms")], unit="By", description="Virtual memory committed."
        )
        meter.create_observable_up_down_counter(
            "process.unix.file_descriptor.count",
            [self._told("descriptors")],
            unit="{file_descriptor}",
            description="File descriptors in use.",
        )
        meter.create_observable_up_down_counter(
            "process.thread.count", [self._told("threads")], unit="{thread}", description="Threads."
        )
        meter.create_observable_counter(
            "process.context_switches",
            [self._told_by("process.context_switch.type", "voluntary", "involuntary")],
            unit="{context_switch}",
            description="Context switches.",
        )
        meter.create_observable_gauge(
            "process.uptime", [self._told("uptime")], unit="s", description="How long the process has run."
        )

    def _read(self) -> dict[str, float]:
        with self._process.oneshot():
            cpu, memory, switches = (
                self._process.cpu_times(),
                self._process.memory_info(),
                self._process.num_ctx_switches(),
            )
            return {
                "user": cpu.user,
                "system": cpu.system,
                "utilization": self._utilization(cpu.user + cpu.system),
                "rss": memory.rss,
                "vms": memory.vms,
                "descriptors": self._process.num_fds(),
                "threads": self._process.num_threads(),
                "voluntary": switches.voluntary,
                "involuntary": switches.involuntary,
                "uptime": time.time() - self._began,
            }

    def _utilization(self, cpu_s: float) -> float:
        """Since the last look, of all processors together."""
        at = time.monotonic()
        spent, passed = cpu_s - self._cpu_s, at - self._at
        self._cpu_s, self._at = cpu_s, at
        return min(1.0, spent / passed / (os.cpu_count() or 1)) if passed > 0 else 0.0

    def _told(self, figure: str) -> Callback:
        return lambda _: [Observation(self._snapshot.of(figure))]

    def _told_by(self, attribute: str, *figures: str) -> Callback:
        """Figures that are told apart by an attribute, which has their names."""
        return lambda _: [Observation(self._snapshot.of(figure), {attribute: figure}) for figure in figures]
