"""How many lines a process logs at error level, as a metric."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from opentelemetry.metrics import Counter, Meter

_OF_TELEMETRY: Final = "opentelemetry"
"""A collector that is away is no error of the process, and is said over and over."""


def count_errors(meter: Meter) -> Callable[[], None]:
    """Count from now on; returns what ends that."""
    errors = meter.create_counter("waggle.log.errors", unit="{line}", description="Lines logged at error level.")
    errors.add(0)  # so that the first one is seen to have happened
    handler = ErrorCounter(errors)
    logging.getLogger().addHandler(handler)
    return lambda: logging.getLogger().removeHandler(handler)


class ErrorCounter(logging.Handler):
    """Counts what arrives at error level or above."""

    def __init__(self, errors: Counter) -> None:
        super().__init__(logging.ERROR)
        self._errors = errors

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] != _OF_TELEMETRY:
            self._errors.add(1)
