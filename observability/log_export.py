"""Log lines on their way to a collector: the same events with the same masks as on standard error."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.context import get_current

from observability.logging import event_of, without_user

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.resources import Resource

_SEVERITIES = (
    (logging.CRITICAL, SeverityNumber.FATAL, "FATAL"),
    (logging.ERROR, SeverityNumber.ERROR, "ERROR"),
    (logging.WARNING, SeverityNumber.WARN, "WARN"),
    (logging.INFO, SeverityNumber.INFO, "INFO"),
    (logging.NOTSET, SeverityNumber.DEBUG, "DEBUG"),
)
_TOLD_OTHERWISE = frozenset(
    {"event", "level", "timestamp", "logger", "trace_id", "span_id", "service", "instance", "exc_info"}
)
"""What the record, its scope or its resource hold already."""
_OF_THE_EXPORT = ("opentelemetry", "urllib3", "requests", "grpc")
"""Lines about an export that fails would be exported, and so on."""


def export_logs(exporter: LogRecordExporter, resource: Resource, meters: MeterProvider) -> Callable[[], None]:
    """Send what is logged from now on to `exporter`, in the background; returns what ends that. What finds no room in the queue is
    counted by one of `meters`.
    """
    from opentelemetry.sdk._logs import LoggerProvider
    from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

    provider = LoggerProvider(resource=resource, shutdown_on_exit=False)
    provider.add_log_record_processor(BatchLogRecordProcessor(exporter, meter_provider=meters))
    handler = ExportingHandler(provider)
    logging.getLogger().addHandler(handler)

    def end() -> None:
        logging.getLogger().removeHandler(handler)
        provider.shutdown()

    return end


class ExportingHandler(logging.Handler):
    """Hands every event to OpenTelemetry, with the trace that it belongs to."""

    def __init__(self, provider: LoggerProvider) -> None:
        super().__init__()
        self._provider = provider

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.partition(".")[0] in _OF_THE_EXPORT:
            return
        try:
            self._provider.get_logger(record.name).emit(_translated(record))
        except Exception:  # noqa: BLE001 (as every handler does: a line that cannot be sent must not fail its writer)
            self.handleError(record)


def _translated(record: logging.LogRecord) -> LogRecord:
    event = event_of(record)
    number, text = next((number, text) for level, number, text in _SEVERITIES if record.levelno >= level)
    return LogRecord(
        timestamp=int(record.created * 1e9),
        context=get_current(),
        severity_number=number,
        severity_text=text,
        body=str(event.get("event", "")),
        attributes={**_attributes(event), **_exception(event, record)},
    )


def _attributes(event: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: value if isinstance(value, str | bool | int | float) else str(value)
        for name, value in event.items()
        if name not in _TOLD_OTHERWISE and not name.startswith("_") and value is not None
    }


def _exception(event: Mapping[str, Any], record: logging.LogRecord) -> dict[str, str]:
    """The exception of an event, if it has one. A traceback shows code, never what variables held."""
    told = event.get("exc_info") or record.exc_info
    if told is True:
        told = sys.exc_info()
    error = told[1] if isinstance(told, tuple) else told
    if not isinstance(error, BaseException):
        return {}
    return {
        "exception.type": type(error).__name__,
        "exception.message": without_user(str(error)),
        "exception.stacktrace": without_user("".join(traceback.format_exception(error))),
    }
