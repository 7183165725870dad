"""Settings of key figures: from where on one is bad, and what models cost."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, field_validator

from contracts.settings_source import Settings

MOST_PRICED = 16
"""Models with a price."""
LONGEST_MODEL = 96
"""Characters of the name of one."""


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Beyond which values a figure is a warning, and critical; None where it never is."""

    warning: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """What a million tokens cost, in a currency of the operator's choice."""

    input: float
    output: float


class FigureSettings(Settings):
    """How key figures are judged."""

    figure_thresholds: str = Field(
        default="",
        description="Other thresholds of key figures, as NAME=WARNING/CRITICAL or NAME=CRITICAL, comma separated; see figures.md.",
        examples=["response_time_p95=1/3,throughput=100/50"],
    )
    model_prices: str = Field(
        default="",
        description="What a million tokens cost, as MODEL=INPUT/OUTPUT, comma separated, in any one currency.",
        examples=["Qwen/Qwen3-8B=0.05/0.2"],
    )

    @field_validator("figure_thresholds")
    @classmethod
    def _are_thresholds(cls, text: str) -> str:
        parse_thresholds(text)
        return text

    @field_validator("model_prices")
    @classmethod
    def _are_prices(cls, text: str) -> str:
        parse_prices(text)
        return text

    @property
    def thresholds(self) -> Mapping[str, Thresholds]:
        return parse_thresholds(self.figure_thresholds)

    @property
    def prices(self) -> Mapping[str, Price]:
        return parse_prices(self.model_prices)


def parse_thresholds(text: str) -> dict[str, Thresholds]:
    """Thresholds by figure: `cpu=0.7/0.9,dead_letters=5`. Raises `ValueError` that names what is none."""
    return {
        name: Thresholds(*numbers) if len(numbers) == 2 else Thresholds(critical=numbers[0])
        for name, numbers in _entries(text, "cpu=0.7/0.9", most=2)
    }


def parse_prices(text: str) -> dict[str, Price]:
    """Prices by model: `small=0.1/0.4`. Raises `ValueError` that names what is none."""
    found: dict[str, Price] = {}
    for name, numbers in _entries(text, "Qwen/Qwen3-8B=0.05/0.2", most=2):
        if len(name) > LONGEST_MODEL:
            raise ValueError(f"a model's name of {len(name)} characters: at most {LONGEST_MODEL} are taken")
        if len(numbers) != 2 or min(numbers) < 0:
            raise ValueError(f"{name} needs two prices, of input and of output, as Qwen/Qwen3-8B=0.05/0.2")
        found[name] = Price(*numbers)
    if len(found) > MOST_PRICED:
        raise ValueError(f"{len(found)} models with prices: at most {MOST_PRICED} are taken")
    return found


def _entries(text: str, example: str, *, most: int) -> list[tuple[str, list[float]]]:
    entries = [_entry(part.strip(), example, most) for part in text.split(",") if part.strip()]
    names = [name for name, _ in entries]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{min(twice)} is there twice")
    return entries


def _entry(part: str, example: str, most: int) -> tuple[str, list[float]]:
    name, _, values = part.rpartition("=")
    try:
        numbers = [float(value) for value in values.split("/")]
    except ValueError:
        numbers = []
    if not name.strip() or not 0 < len(numbers) <= most or not all(map(math.isfinite, numbers)):
        raise ValueError(f"{part!r} is not of the form {example}")
    return name.strip(), numbers
