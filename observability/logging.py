"""Logs of a process: one event per line, as text for people or JSON for machines, secrets masked.

Ids belong in logs, contents of documents and questions do not. A line that belongs to a request says so by `trace_id`,
`span_id`, `request_id` and `tenant`, whoever writes it.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from opentelemetry import trace
from pydantic import SecretBytes, SecretStr

from observability.repeats import Repeats

MASK = "***"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|authorization|credential|cookie|seed", re.IGNORECASE)
_COUNTS = re.compile(r"tokens$", re.IGNORECASE)
"""`max_tokens` and the like count words; they are no secrets."""
_URL_USER = re.compile(r"(?<=://)[^/\s@]+@")

_WRITTEN_BY_US = ("event", "level", "timestamp")
_AGAIN_AND_AGAIN = "opentelemetry"
"""It says with every export that a collector is away: once a minute is enough."""
_QUIET = ("nats", "faststream", "httpx", "httpcore", "urllib3", "opentelemetry", "asyncio")
"""Libraries that tell their own troubles at length: what matters of it we log ourselves."""


Format = Literal["auto", "text", "json"]


def configure_logging(
    *,
    level: str = "info",
    format: Format = "auto",  # noqa: A002 (the setting's name)
    service: str = "",
    instance: str = "",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging to write the same lines to `stream` (standard error).

    `format` auto is text where the stream is a terminal, else JSON. `service` and `instance` are on every line. May be
    called again: the last call counts.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Identity(service=service, instance=instance),
        trace_context,
        mask_secrets,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.addFilter(Repeats(_AGAIN_AND_AGAIN))
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_rendering(format, handler.stream),
            ],
        )
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))


def mask_secrets(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: what is named like a secret, is a `SecretStr`, or stands before the @ of an address."""
    for name, value in event.items():
        event[name] = _masked(name, value)
    return event


def trace_context(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: the trace and span that the line is written in, as W3C Trace Context spells them."""
    span = trace.get_current_span().get_span_context()
    if span.is_valid:
        event["trace_id"] = trace.format_trace_id(span.trace_id)
        event["span_id"] = trace.format_span_id(span.span_id)
    return event


def event_of(record: logging.LogRecord) -> Mapping[str, Any]:
    """The event of a line with its fields, secrets masked, whether structlog made it or the standard library."""
    if isinstance(record.msg, Mapping):
        return record.msg
    foreign: MutableMapping[str, Any] = {"event": record.getMessage()}
    return mask_secrets(None, "", structlog.contextvars.merge_contextvars(None, "", foreign))


def readable(line: str) -> str:
    """A line as people read it, if it was written as JSON; any other as it is."""
    try:
        event = json.loads(line)
    except ValueError:
        return line
    if not isinstance(event, dict) or not all(isinstance(event.get(name), str) for name in _WRITTEN_BY_US):
        return line
    for name in ("exc_info", "stack"):  # no line of ours has them; the renderer would look for an error of its own
        event.pop(name, None)
    return str(structlog.dev.ConsoleRenderer(colors=False)(None, "", event))


def without_user(text: str) -> str:
    """`text` without the user names and passwords of the addresses in it."""
    return _URL_USER.sub(f"{MASK}@", text)


class _Identity:
    def __init__(self, **identity: str) -> None:
        self._identity = {name: value for name, value in identity.items() if value}

    def __call__(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        return {**self._identity, **event}


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr | SecretBytes):
        return MASK
    if value is not None and _SECRET_NAME.search(name) and not _COUNTS.search(name):
        return MASK
    if isinstance(value, str):
        return without_user(value)
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    return value


def _rendering(format: str, stream: TextIO) -> list[structlog.types.Processor]:  # noqa: A002
    if format == "json" or (format == "auto" and not stream.isatty()):
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    # The usual tracebacks show local variables: contents and secrets, and a second of the event loop's time.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
