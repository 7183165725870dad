"""What is logged reaches a collector as it was written: masked, with its trace, and never in a circle."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk._logs.export import InMemoryLogRecordExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider

from observability.log_export import export_logs
from observability.logging import configure_logging, readable
from observability.repeats import AGAIN_AFTER_S, MOST_REMEMBERED, Repeats
from observability.request_context import current_request_id, name_tenant, valid_request_id, working_on


class Written:
    """What was logged, as a collector gets it and as a JSON line."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self._exporter = InMemoryLogRecordExporter()
        configure_logging(format="auto", service="embed", instance="embed-1", stream=self.stream)
        self.end = export_logs(self._exporter, Resource({"service.name": "test"}), NoOpMeterProvider())

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    @property
    def records(self) -> list[Any]:
        """Ends the export."""
        self.end()
        return [exported.log_record for exported in self._exporter.get_finished_logs()]


@pytest.fixture
def written() -> Iterator[Written]:
    handlers, level = logging.getLogger().handlers[:], logging.getLogger().level
    written = Written()
    yield written
    logging.getLogger().handlers[:] = handlers
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def fail(log: Any, message: str, **fields: str) -> None:
    """Log an exception."""

    def broken() -> None:
        raise OSError(message)

    try:
        broken()
    except OSError:
        log.exception("it failed", **fields)


def test_an_event_is_exported_with_its_fields_and_level(written: Written) -> None:
    structlog.get_logger("waggle.test").warning("disk is filling", free_gb=3, path="/data", where=None)
    (record,) = written.records
    assert (record.body, record.severity_text) == ("disk is filling", "WARN")
    assert dict(record.attributes) == {"free_gb": 3, "path": "/data"}


def test_the_standard_librarys_lines_are_exported_too(written: Written) -> None:
    logging.getLogger("somebody").error("disk at %d %%", 91)
    (record,) = written.records
    assert (record.body, record.severity_text) == ("disk at 91 %", "ERROR")


def test_secrets_are_masked_on_both_ways(written: Written) -> None:
    structlog.get_logger().info("connecting", api_key="hunter2", url="nats://me:hunter2@host")
    logging.getLogger("x").warning("cannot reach nats://me:hunter2@host")
    fail(structlog.get_logger(), "no route to nats://me:hunter2@host")
    told = str([(record.body, dict(record.attributes)) for record in written.records])
    assert "hunter2" not in told
    assert "exception.stacktrace" in told
    assert "'exception.type': 'OSError'" in told


def test_a_line_says_whose_it_is_and_in_which_trace(written: Written) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("test")
    with tracer.start_as_current_span("work") as span, working_on("r-1", tenant="acme"):
        structlog.get_logger().info("inside")
        logging.getLogger("library").warning("inside, too")
    structlog.get_logger().info("outside")
    trace_id = trace.format_trace_id(span.get_span_context().trace_id)
    span_id = trace.format_span_id(span.get_span_context().span_id)
    *inside, outside = written.lines
    for line in inside:
        assert (line["trace_id"], line["span_id"], line["request_id"], line["tenant"]) == (
            trace_id, span_id, "r-1", "acme",
        )  # fmt: skip
    assert not {"trace_id", "span_id", "request_id", "tenant"} & outside.keys()
    first, second, last = written.records
    assert {trace.format_trace_id(record.trace_id) for record in (first, second)} == {trace_id}
    assert {record.attributes["request_id"] for record in (first, second)} == {"r-1"}
    assert last.trace_id == 0


def test_lines_about_the_export_are_not_exported(written: Written) -> None:
    """Otherwise each failed export would give the next one something to send."""
    for name in ("opentelemetry.exporter.otlp", "urllib3.connectionpool", "requests", "grpc"):
        logging.getLogger(name).error("Failed to export")
    assert written.records == []
    assert len(written.lines) == 4


def test_what_a_library_says_over_and_over_is_said_once_a_minute() -> None:
    now = [1000.0]
    repeats = Repeats("opentelemetry", monotonic=lambda: now[0])

    def says(name: str, message: str) -> bool:
        return repeats.filter(logging.LogRecord(name, logging.ERROR, "", 0, message, (), None))

    assert says("opentelemetry.sdk", "Failed")
    assert not says("opentelemetry.sdk", "Failed")
    assert says("opentelemetry.sdk", "Other")
    assert says("gateway", "Failed")
    assert says("gateway", "Failed")
    now[0] += AGAIN_AFTER_S
    assert says("opentelemetry.sdk", "Failed")
    for n in range(10 * MOST_REMEMBERED):
        says("opentelemetry.sdk", f"{n}")
    assert len(repeats._said) == MOST_REMEMBERED


def test_on_a_terminal_lines_are_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    stream, handlers = Terminal(), logging.getLogger().handlers[:]
    try:
        configure_logging(format="auto", stream=stream)
        structlog.get_logger().warning("disk is filling", free_gb=3)
    finally:
        logging.getLogger().handlers[:] = handlers
        structlog.reset_defaults()
    with pytest.raises(ValueError, match="Expecting value"):
        json.loads(stream.getvalue())
    assert "disk is filling" in stream.getvalue()


def test_a_json_line_can_be_read_and_others_stay_as_they_are(written: Written) -> None:
    fail(structlog.get_logger("waggle.test"), "gone", document_id="d1")
    told = readable(written.stream.getvalue().strip())
    assert "it failed" in told
    assert "document_id=d1" in told
    assert "OSError: gone" in told
    for line in ("[1] nats-server started", '{"a": 1}', '{"event": 1}', "null", "", '{"event": "x", "level": 3}'):
        assert readable(line) == line


@pytest.mark.parametrize("given", [None, "", "a b", "x\ny", "é", "a" * 129, "../x"])
def test_what_is_no_usable_request_id_is_none(given: str | None) -> None:
    assert valid_request_id(given) is None


def test_a_request_is_known_inside_its_work_only() -> None:
    assert current_request_id() is None
    with working_on("r-1"):
        name_tenant("acme")
        assert current_request_id() == "r-1"
    assert current_request_id() is None
    structlog.contextvars.clear_contextvars()
