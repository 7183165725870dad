"""The host: Python, memory, disk, ports, the encoder's model."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import psutil

from contracts.model_settings import EncoderKind, RerankerKind
from contracts.settings import AllSettings
from deploy.checkup.finding import Finding, Level, fail, ok, warn
from deploy.checkup.model_folder import is_path
from deploy.local import leftovers, ports
from deploy.local.addresses import RunningStack
from deploy.local.assembly import NATS_PORT
from deploy.local.layout import layout_of
from workers.encoding.models import folder_of
from workers.ingest.confinement import shut_off_possible

GiB = 1024**3
LEAST_PYTHON = (3, 11)
LEAST_DISK_BYTES, COMFORTABLE_DISK_BYTES = 1 * GiB, 5 * GiB
LEAST_MEMORY_BYTES, COMFORTABLE_MEMORY_BYTES = 1 * GiB, 3 * GiB


def python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info < LEAST_PYTHON:
        return fail("python", version, "Install Python 3.11 or newer.")
    return ok("python", version)


def memory() -> Finding:
    free = psutil.virtual_memory().available
    detail = f"{free / GiB:.1f} GiB available"
    if free < LEAST_MEMORY_BYTES:
        return fail("memory", detail, "The stack takes about 2 GiB, most of it for the encoder: end other programs.")
    if free < COMFORTABLE_MEMORY_BYTES:
        return warn("memory", detail, "Enough for one embed and one retrieve worker; do not add replicas.")
    return ok("memory", detail)


def parser() -> Finding:
    """Whether the process that reads strangers' files is kept from the network."""
    if shut_off_possible():
        return ok("parser", "reads files without a network")
    return warn(
        "parser",
        "the process that reads files can reach the network: the kernel allows neither namespaces nor seccomp",
        "Run ingest where one of them is allowed, or where the network lets it reach nothing but the broker.",
    )


def disk(settings: AllSettings) -> Finding:
    folder = layout_of(settings).data_dir
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(existing, os.W_OK):
        return fail("disk", f"{existing} cannot be written", "Set WAGGLE_DATA_DIR to a folder of yours.")
    free = shutil.disk_usage(existing).free
    detail = f"{free / GiB:.1f} GiB free for {folder}"
    if free < LEAST_DISK_BYTES:
        return fail("disk", detail, "The broker stops taking documents when the disk is full: make room.")
    if free < COMFORTABLE_DISK_BYTES:
        return warn("disk", detail, "Originals, texts and index together take about three times the documents' size.")
    return ok("disk", detail)


def listening(settings: AllSettings) -> list[Finding]:
    """The ports that `waggle up` takes: free, or taken by our own stack."""
    layout = layout_of(settings)
    if RunningStack.read(layout) is not None:
        return [ok("ports", "taken by the stack that runs here"), *_unwell(observer_port(settings))]
    if left := leftovers.find(layout):
        advice = "Run `waggle down`, or `waggle up`, which stops them first."
        return [
            fail(
                "ports", f"processes of an earlier run live without their supervisor: {', '.join(sorted(left))}", advice
            )
        ]
    wanted = [("gateway", settings.gateway_host, settings.gateway_port, "--port 0")]
    if "nats_url" not in settings.model_fields_set:
        wanted.append(("broker", "127.0.0.1", NATS_PORT, "--nats-port 0"))
    return [*(_port(*each) for each in wanted), observer_port(settings)]


def observer_port(settings: AllSettings) -> Finding:
    """That of the figures of the fleet: free, or had by an observer of our own stack. Nothing else waits for it."""
    port = settings.observer_port
    if port == 0 or ports.is_free(settings.observer_host, port):
        return ok("ports", f"observer: {port} is free")
    if any(ports.is_of(process, port) for process in leftovers.find(layout_of(settings)).values()):
        return ok("ports", f"observer: {port} is taken by the stack that runs here")
    return warn(
        "ports",
        f"observer: {port} is taken by {ports.owner(port)}: nobody sees the figures of the fleet at /metrics until it is "
        "free; all else works",
        "End it, or set WAGGLE_OBSERVER_PORT to another port (0: any that is free) and start the stack again.",
    )


def _unwell(finding: Finding) -> list[Finding]:
    return [] if finding.level is Level.OK else [finding]


def models(settings: AllSettings) -> list[Finding]:
    """Of the encoder, and of the reranker if it is loaded into the retrieve worker."""
    found = []
    if settings.encoder is EncoderKind.SENTENCE_TRANSFORMERS:
        found.append(_model("WAGGLE_ENCODER_MODEL", settings.encoder_model))
    else:
        found.append(ok("model", f"the {settings.encoder} encoder needs none"))
    if settings.reranker is RerankerKind.CROSS_ENCODER:
        found.append(_model("WAGGLE_RERANKER_MODEL", settings.reranker_model))
    return found


def _model(variable: str, name: str) -> Finding:
    folder: Path | None = folder_of(name)
    if folder is not None:
        return ok("model", f"{name} in {folder}")
    if is_path(name):
        return fail("model", f"{variable}={name} is no folder on this host", "Give the folder of a model, or a name.")
    advice = f"It is looked up by name when its worker starts, which needs internet or a cache: better give its folder as {variable}."
    return warn("model", f"{name} is not on this host", advice)


def _port(purpose: str, host: str, port: int, option: str) -> Finding:
    if port == 0 or ports.is_free(host, port):
        return ok("ports", f"{purpose}: {port} is free")
    advice = f"End it, or choose another port: `waggle up {option}`."
    return fail("ports", f"{purpose}: {port} is taken by {ports.owner(port)}", advice)
