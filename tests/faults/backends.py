"""Inside a process of the harness: backends that go away and come back, and a slow index.

A backend is away for all processes that mind it while a file named after it lies in the harness's folder. Everything that
is asked of it fails then as it would in production, the looks of its breaker included.
"""

from __future__ import annotations

import asyncio
import functools
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from messaging.errors import BrokerUnavailableError
from tests.faults.plans import FOLDER_VARIABLE
from tests.faults.striking import wrap

SLOWED = 10
"""How many times longer everything takes at the slow index."""


class Backend(StrEnum):
    """Named as their breakers are."""

    INDEX = "index"
    ENCODER = "encoder"
    GENERATOR = "generator"
    UPLOADS = "uploads"


@contextmanager
def away(folder: Path, backend: Backend) -> Iterator[None]:
    """The body runs while a backend is away for all processes with this folder."""
    switch = switch_of(folder, backend)
    switch.touch()
    try:
        yield
    finally:
        switch.unlink()


def fragile_index() -> None:
    """Fails where the engine would, so that its errors become what they become in production."""

    def failing(original: Any) -> Any:
        @contextmanager
        def engine(path: Path) -> Iterator[None]:
            with original(path):
                _require(Backend.INDEX)
                yield

        return engine

    wrap("workers.indexing.lance:on_disk", failing)


def fragile_encoder() -> None:
    def failing(original: Any) -> Any:
        def encode(*args: Any) -> Any:
            _require(Backend.ENCODER)
            return original(*args)

        return encode

    for name in ("encode_passages", "encode_questions"):
        wrap(f"workers.encoding.simulated:SimulatedEmbedder.{name}", failing)


def fragile_generator() -> None:
    def failing(original: Any) -> Any:
        async def generate(*args: Any) -> AsyncIterator[Any]:
            _require(Backend.GENERATOR)
            async for item in original(*args):
                yield item

        return generate

    def blind(original: Any) -> Any:
        async def look(*args: Any) -> None:
            _require(Backend.GENERATOR)
            await original(*args)

        return look

    wrap("workers.generate.extractive:ExtractiveGenerator.generate", failing)
    wrap("workers.generate.extractive:ExtractiveGenerator.look", blind)


def fragile_uploads() -> None:
    """The object store is a part of the broker, so what fails is the broker's answer."""

    def failing(original: Any) -> Any:
        async def call(*args: Any, **kwargs: Any) -> Any:
            _require_store()
            return await original(*args, **kwargs)

        return call

    def failing_read(original: Any) -> Any:
        async def read(*args: Any, **kwargs: Any) -> AsyncIterator[bytes]:
            _require_store()
            async for piece in original(*args, **kwargs):
                yield piece

        return read

    for name in ("put", "find", "delete", "look"):
        wrap(f"messaging.uploads:Uploads.{name}", failing)
    wrap("messaging.uploads:Uploads.read", failing_read)


def slow_index() -> None:
    """Every call takes ten times as long as it did."""

    def slowed(original: Any) -> Any:
        @functools.wraps(original)
        async def call(*args: Any, **kwargs: Any) -> Any:
            begun = time.monotonic()
            result = await original(*args, **kwargs)
            await asyncio.sleep((SLOWED - 1) * (time.monotonic() - begun))
            return result

        return call

    for name in ("upsert", "delete_generation", "count_generation", "embeddings", "search"):
        wrap(f"workers.indexing.lance:LanceIndex.{name}", slowed)


def _require(backend: Backend) -> None:
    if switch_of(Path(os.environ[FOLDER_VARIABLE]), backend).exists():
        raise OSError(f"the harness took the {backend} away")


def _require_store() -> None:
    try:
        _require(Backend.UPLOADS)
    except OSError as error:
        raise BrokerUnavailableError(str(error)) from error


def switch_of(folder: Path, backend: Backend) -> Path:
    return folder / f"{backend}.away"


BACKEND_MANNERS: Sequence[Callable[[], None]] = (
    fragile_index,
    fragile_encoder,
    fragile_generator,
    fragile_uploads,
    slow_index,
)
