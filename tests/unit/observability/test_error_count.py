"""Errors in the log are counted, whoever logs them."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import structlog

from observability.error_count import count_errors
from observability.logging import configure_logging
from observability.telemetry import Telemetry, start_telemetry


@pytest.fixture
def telemetry() -> Iterator[Telemetry]:
    before = logging.getLogger().handlers[:]
    configure_logging()
    telemetry = start_telemetry(service="embed", instance="i", version="1", environment={})
    yield telemetry
    telemetry.shutdown()
    logging.getLogger().handlers[:] = before


def counted(telemetry: Telemetry) -> float:
    assert telemetry.samples is not None
    [metric] = [metric for metric in telemetry.samples().metrics if metric.name == "waggle.log.errors"]
    return metric.numbers[0].value


def test_lines_at_error_level_are_counted_from_none_on(telemetry: Telemetry) -> None:
    end = count_errors(telemetry.meter)
    assert counted(telemetry) == 0
    structlog.get_logger("waggle").error("it broke")
    structlog.get_logger("waggle").warning("it creaks")
    logging.getLogger("library").critical("gone")
    logging.getLogger("opentelemetry.exporter").error("no collector")
    assert counted(telemetry) == 2
    end()
    logging.getLogger("library").error("not counted any more")
    assert counted(telemetry) == 2
