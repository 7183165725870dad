"""Settings of what the observer gathers and shows."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from contracts.settings_source import Settings

_EXPECTED = re.compile(r"([A-Za-z0-9_-]{1,128})=(\d{1,4})")


class IntakeSettings(Settings):
    """Which processes should be there, and where the fleet's figures are shown."""

    expected: str = Field(
        default="",
        description="How many processes of a service should be alive, comma separated; what is not named is learnt from "
        "what there was.",
        examples=["embed=2,retrieve=2"],
    )
    observer_host: str = Field(
        default="127.0.0.1",
        description="Address of the observer's `/metrics`. Whoever reaches it may read the figures of the fleet.",
        examples=["127.0.0.1"],
    )
    observer_port: int = Field(
        default=9464,
        ge=0,
        le=65535,
        description="Port of the observer's `/metrics`; of several observers on a host the first has it.",
        examples=[9464],
    )

    @field_validator("expected")
    @classmethod
    def _is_a_list(cls, expected: str) -> str:
        expected_numbers(expected)
        return expected

    @property
    def expected_processes(self) -> dict[str, int]:
        """The number by service."""
        return expected_numbers(self.expected)


def expected_numbers(text: str) -> dict[str, int]:
    """The numbers by service in `embed=2,retrieve=1`. Raises `ValueError` for anything else."""
    numbers: dict[str, int] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        match = _EXPECTED.fullmatch(part)
        if match is None:
            raise ValueError(f"{part!r} is not a service and a number, as embed=2")
        if match[1] in numbers:
            raise ValueError(f"{match[1]} is named twice")
        numbers[match[1]] = int(match[2])
    return numbers
