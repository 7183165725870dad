"""A real OpenTelemetry collector as a child process, and what it hands on."""

from __future__ import annotations

import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import util
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from deploy.local.ports import free_port

INSTALL = "`make test` installs rotel from requirements-engines.lock (Linux, x86_64)"
STOP_TIMEOUT_S = 60.0
MOST_HANGING = 256
"""Connections that are taken; whoever comes then hears even less."""


def find_rotel() -> Path | None:
    """The collector in the wheel `rotel`."""
    wheel = util.find_spec("rotel")
    if wheel is None or wheel.origin is None:
        return None
    binary = Path(wheel.origin).parent / "rotel-agent"
    return binary if binary.is_file() else None


def require_rotel() -> Path:
    """The collector, or the test is skipped; with `WAGGLE_REQUIRE_ENGINES=1` it fails."""
    binary = find_rotel()
    if binary is not None:
        return binary
    if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
        pytest.fail(f"no collector here: {INSTALL}")
    pytest.skip(f"no collector here: {INSTALL}")


@dataclass(frozen=True, kw_only=True)
class Span:
    """One span as it was collected; `service` is its resource's."""

    service: str
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, str]


@dataclass
class Sink:
    """What the collector has handed on. Safe to read while it goes on."""

    _spans: list[Span] = field(default_factory=list)
    _metrics: list[tuple[str, str]] = field(default_factory=list)
    _logs: list[tuple[str, str, str]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def spans(self) -> list[Span]:
        with self._lock:
            return list(self._spans)

    @property
    def metrics(self) -> set[tuple[str, str]]:
        """`(service, name of a metric)`."""
        with self._lock:
            return set(self._metrics)

    @property
    def logs(self) -> list[tuple[str, str, str]]:
        """`(service, text, trace id)`; the trace id is empty outside of traces."""
        with self._lock:
            return list(self._logs)

    def take(self, path: str, body: bytes) -> None:
        with self._lock:
            if path.endswith("/v1/traces"):
                self._spans += _spans(body)
            elif path.endswith("/v1/metrics"):
                self._metrics += _metrics(body)
            elif path.endswith("/v1/logs"):
                self._logs += _logs(body)
            else:
                raise AssertionError(f"the collector sent something to {path}")


@dataclass(frozen=True, kw_only=True)
class Collector:
    """A running collector: its OTLP/HTTP endpoint, and what it has handed on."""

    endpoint: str
    sink: Sink


@contextmanager
def collecting(binary: Path, folder: Path) -> Iterator[Collector]:
    """Run a collector that hands on to a sink of ours."""
    sink = Sink()
    with _sink_server(sink) as sink_url:
        handing_on = ("--exporter=otlp", f"--otlp-exporter-endpoint={sink_url}", "--otlp-exporter-protocol=http")
        with running_collector(binary, folder, *handing_on) as endpoint:
            yield Collector(endpoint=endpoint, sink=sink)


@contextmanager
def running_collector(binary: Path, folder: Path, *options: str) -> Iterator[str]:
    """Run a collector; `options` say what becomes of what it takes. Yields its OTLP/HTTP endpoint."""
    port = free_port()
    command = [
        str(binary),
        "start",
        f"--otlp-http-endpoint=127.0.0.1:{port}",
        f"--otlp-grpc-endpoint=127.0.0.1:{free_port()}",
        f"--pid-file={folder / 'rotel.pid'}",
        f"--log-file={folder / 'rotel.log'}",
        *options,
    ]
    with (folder / "rotel.out").open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait(STOP_TIMEOUT_S)


@contextmanager
def hanging_collector() -> Iterator[str]:
    """The endpoint of a collector that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0), backlog=MOST_HANGING) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


@contextmanager
def _sink_server(sink: Sink) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            sink.take(self.path, _decoded(body, self.headers.get("Content-Encoding")))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name that it has there)
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(STOP_TIMEOUT_S)


def _decoded(body: bytes, encoding: str | None) -> bytes:
    if encoding == "gzip":
        import gzip

        return gzip.decompress(body)
    return body


def _service(resource: Any) -> str:
    return next((a.value.string_value for a in resource.attributes if a.key == "service.name"), "")


def _spans(body: bytes) -> list[Span]:
    return [
        Span(
            service=_service(group.resource),
            name=span.name,
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            attributes={a.key: a.value.string_value for a in span.attributes},
        )
        for group in ExportTraceServiceRequest.FromString(body).resource_spans
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _metrics(body: bytes) -> list[tuple[str, str]]:
    return [
        (_service(group.resource), metric.name)
        for group in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in group.scope_metrics
        for metric in scope.metrics
    ]


def _logs(body: bytes) -> list[tuple[str, str, str]]:
    return [
        (_service(group.resource), record.body.string_value, record.trace_id.hex())
        for group in ExportLogsServiceRequest.FromString(body).resource_logs
        for scope in group.scope_logs
        for record in scope.log_records
    ]
