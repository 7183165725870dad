"""Logs are lines that can be read, and never hold a secret."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from pydantic import SecretStr

from observability.logging import configure_logging


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    configure_logging(level="info", format="json", service="embed", instance="embed-1", stream=stream)
    yield stream
    logging.getLogger().handlers[:] = before
    logging.getLogger().setLevel(level)
    structlog.reset_defaults()


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_an_event_has_its_time_level_and_process(written: io.StringIO) -> None:
    structlog.get_logger("waggle.test").info("document ready", document_id="d1")
    (line,) = lines(written)
    assert line["event"] == "document ready"
    assert (line["service"], line["instance"], line["level"]) == ("embed", "embed-1", "info")
    assert (line["document_id"], line["logger"]) == ("d1", "waggle.test")
    assert str(line["timestamp"]).endswith("Z")


def test_the_standard_librarys_logs_come_the_same_way(written: io.StringIO) -> None:
    logging.getLogger("somebody").warning("disk at %d %%", 91)
    (line,) = lines(written)
    assert (line["event"], line["level"], line["service"]) == ("disk at 91 %", "warning", "embed")


def test_below_the_level_nothing_is_written(written: io.StringIO) -> None:
    structlog.get_logger().debug("detail")
    logging.getLogger("httpx").info("GET /")
    assert lines(written) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "hunter2"},
        {"nats_password": "hunter2"},
        {"api_key": "hunter2"},
        {"Authorization": "Bearer hunter2"},
        {"token": "hunter2"},
        {"anything": SecretStr("hunter2")},
        {"headers": {"authorization": "hunter2"}},
        {"url": "nats://user:hunter2@host:4222"},
        {"reason": "cannot connect to nats://user:hunter2@host:4222 now"},
    ],
    ids=lambda fields: next(iter(fields)),
)
def test_secrets_are_masked(written: io.StringIO, fields: dict[str, object]) -> None:
    structlog.get_logger().info("connecting", **fields)
    assert "hunter2" not in written.getvalue()
    assert "***" in written.getvalue()


def test_counts_of_tokens_are_no_secret(written: io.StringIO) -> None:
    structlog.get_logger().info("batch", max_tokens=8192)
    assert lines(written)[0]["max_tokens"] == 8192


def test_an_exception_is_part_of_its_line(written: io.StringIO) -> None:
    try:
        int("what happened")
    except ValueError:
        structlog.get_logger().exception("failed")
    (line,) = lines(written)
    assert "what happened" in str(line["exception"])


def test_text_is_for_people() -> None:
    stream = io.StringIO()
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logging(format="text", stream=stream)
        structlog.get_logger().warning("disk is filling", free_gb=3)
    finally:
        logging.getLogger().handlers[:] = before
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    assert "disk is filling" in stream.getvalue()
    assert "free_gb=3" in stream.getvalue()


def test_a_traceback_does_not_show_what_variables_held() -> None:
    def fail() -> None:
        content = "hunter" + "2"
        raise OSError(len(content))

    stream = io.StringIO()
    before, level = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        configure_logging(format="text", stream=stream)
        try:
            fail()
        except OSError:
            structlog.get_logger().exception("it failed")
    finally:
        logging.getLogger().handlers[:] = before
        logging.getLogger().setLevel(level)
        structlog.reset_defaults()
    assert "OSError: 7" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
