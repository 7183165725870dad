"""Logs of a process: one event per line, as text for people or JSON for machines, secrets masked.

Ids belong in logs, contents of documents and questions do not.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Literal, TextIO

import structlog
from pydantic import SecretBytes, SecretStr

MASK = "***"
_SECRET_NAME = re.compile(r"password|passwd|secret|token|api_?key|authorization|credential|cookie|seed", re.IGNORECASE)
_COUNTS = re.compile(r"tokens$", re.IGNORECASE)
"""`max_tokens` and the like count words; they are no secrets."""
_URL_USER = re.compile(r"(?<=://)[^/\s@]+@")

_QUIET = ("nats", "faststream", "httpx", "httpcore", "urllib3", "opentelemetry", "asyncio")
"""Libraries that tell their own troubles at length: what matters of it we log ourselves."""


def configure_logging(
    *,
    level: str = "info",
    format: Literal["text", "json"] = "text",  # noqa: A002 (the setting's name)
    service: str = "",
    instance: str = "",
    stream: TextIO | None = None,
) -> None:
    """Set up structlog and the standard library's logging to write the same lines to `stream` (standard error).

    `service` and `instance` are on every line. May be called again: the last call counts.
    """
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _Identity(service=service, instance=instance),
        mask_secrets,
    ]
    handler = logging.StreamHandler(stream or sys.stderr)
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
        return _URL_USER.sub(f"{MASK}@", value)
    if isinstance(value, Mapping):
        return {key: _masked(str(key), inner) for key, inner in value.items()}
    return value


def _rendering(format: str, stream: TextIO) -> list[structlog.types.Processor]:  # noqa: A002
    if format == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    # The usual tracebacks show local variables: contents and secrets, and a second of the event loop's time.
    plain = structlog.dev.plain_traceback
    return [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
