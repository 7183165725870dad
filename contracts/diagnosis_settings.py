"""Settings of diagnosing: how often causes are looked for."""

from __future__ import annotations

from pydantic import Field

from contracts.settings_source import Settings


class DiagnosisSettings(Settings):
    """When the observer looks for what is wrong."""

    diagnosis_interval_s: float = Field(
        default=3.0,
        gt=0,
        le=60,
        description="How often the observer looks for causes, in seconds. A look takes 10 ms of a core for a small fleet, 0.1 s for "
        "10,000 series.",
        examples=[3],
    )
