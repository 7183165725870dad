"""Builds the generator that the settings name."""

from __future__ import annotations

from contracts.settings import GenerateSettings
from workers.generate.base import Generator
from workers.generate.extractive import ExtractiveGenerator


def build_generator(settings: GenerateSettings) -> Generator:
    """The generator of this process."""
    return ExtractiveGenerator(most_sentences=settings.answer_sentences)
