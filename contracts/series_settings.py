"""Settings of the series that the observer keeps."""

from __future__ import annotations

from pydantic import Field

from contracts.settings_source import Settings


class SeriesSettings(Settings):
    """How many series are kept, and for how long."""

    series_memory_s: float = Field(
        default=3600.0,
        ge=600,
        le=86_400,
        description="How long the observer keeps every sample in memory, in seconds: 12 bytes each.",
        examples=[3600],
    )
    series_disk_s: float = Field(
        default=86_400.0,
        ge=3600,
        le=31 * 86_400,
        description="How long it keeps one sample of each minute on disk, in seconds.",
        examples=[86400],
    )
    series_disk_bytes: int = Field(
        default=1024**3,
        ge=16 * 1024**2,
        description="What these may take on disk, in bytes; the oldest go first.",
        examples=[1073741824],
    )
    series_most: int = Field(
        default=50_000,
        ge=1000,
        le=1_000_000,
        description="How many series it keeps; new ones past that are refused, counted, and an alert.",
        examples=[50000],
    )
