"""What the observer measures of its own intake."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from observability.intake.intake import Intake


def measure(intake: Intake, meter: Meter, *, dropped: Callable[[], int]) -> None:
    """Tell from now on how much was taken and refused. `dropped` counts messages that came faster than they were taken."""

    def malformed(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"kind": kind}) for kind, count in intake.malformed.counts.items()]

    def refused(_: CallbackOptions) -> Iterable[Observation]:
        return [
            Observation(intake.processes.refused, {"kind": "heartbeat"}),
            Observation(intake.samples.refused, {"kind": "sample"}),
        ]

    meter.create_observable_counter(
        "waggle.observer.heartbeats", [lambda _: [Observation(intake.heartbeats)]], description="Heartbeats taken."
    )
    meter.create_observable_counter(
        "waggle.observer.malformed",
        [malformed],
        description="Messages that cannot be read or contradict their subject.",
    )
    meter.create_observable_counter(
        "waggle.observer.intake.refused",
        [refused],
        description="What came of more processes and series than there is room for.",
    )
    meter.create_observable_counter(
        "waggle.observer.intake.dropped",
        [lambda _: [Observation(dropped())]],
        description="Messages that came faster than they were taken.",
    )
    meter.create_observable_gauge(
        "waggle.observer.processes",
        [lambda _: [Observation(len(intake.processes))]],
        description="Processes that are known.",
    )
