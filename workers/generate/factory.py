"""Builds the generator that the settings name. Heavy libraries are imported when they are needed."""

from __future__ import annotations

from contracts.generator_settings import GeneratorKind
from contracts.settings import GenerateSettings
from workers.generate.base import Generator
from workers.generate.chat.generator import ChatGenerator
from workers.generate.chat.model import ChatModel
from workers.generate.chat.template import PromptTemplate
from workers.generate.extractive import ExtractiveGenerator

CONCURRENCY = 8


def build_generator(settings: GenerateSettings) -> Generator:
    """The generator of this process, not started yet. Raises `PermanentError` for prompt templates that cannot be used."""
    if settings.generator is GeneratorKind.EXTRACTIVE:
        return ExtractiveGenerator(most_sentences=settings.answer_sentences)
    return ChatGenerator(
        _model(settings),
        PromptTemplate.read(settings.prompt_file),
        max_tokens=settings.generator_max_tokens,
        temperature=settings.generator_temperature,
    )


def concurrency(settings: GenerateSettings) -> int:
    """How many answers this process makes at once."""
    if settings.generate_concurrency is not None:
        return settings.generate_concurrency
    return settings.vllm_max_num_seqs if settings.generator is GeneratorKind.VLLM else CONCURRENCY


def _model(settings: GenerateSettings) -> ChatModel:
    if settings.generator is GeneratorKind.OPENAI:
        from workers.generate.chat.openai import build_openai_model

        return build_openai_model(settings)
    from workers.generate.chat.vllm_model import VllmModel

    return VllmModel(settings)
