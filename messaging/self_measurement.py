"""The telemetry of a process of the fleet: as its settings say, with the figures of process and host."""

from __future__ import annotations

from dataclasses import replace

from contracts.identifiers import digest
from contracts.settings import ProcessSettings
from messaging.heartbeats import release
from observability.error_count import count_errors
from observability.telemetry import Telemetry, start_telemetry


def process_telemetry(service: str, settings: ProcessSettings, *, prometheus: bool = False) -> Telemetry:
    """Set up telemetry of this process. Raises `ConfigurationError` for OTEL_ variables that ask for what there is not."""
    telemetry = start_telemetry(
        service=service,
        instance=settings.instance,
        version=release(),
        track=settings.track,
        wanted=settings.telemetry,
        prometheus=prometheus,
    )
    if telemetry.enabled:
        ends = (*telemetry.shutdown_providers, count_errors(telemetry.meter))
        telemetry = replace(telemetry, shutdown_providers=ends)
    if telemetry.samples is not None:
        from observability.host_figures import HostFigures, Turn
        from observability.process_figures import ProcessFigures

        ProcessFigures().measure(telemetry.meter)
        turn = Turn(digest(settings.nats_url)[:16])
        HostFigures(turn, data_dir=settings.data_dir).measure(telemetry.meter)
        return replace(telemetry, shutdown_providers=(*telemetry.shutdown_providers, turn.give_up))
    return telemetry
