"""docs/telemetry.md names every metric there is, no other, and the allow-list holds every attribute that is used."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from observability.cardinality import ATTRIBUTES

ROOT = Path(__file__).parents[3]
PACKAGES = ("contracts", "observability", "messaging", "workers", "gateway", "deploy", "cli")
SOURCES = {file: file.read_text(encoding="utf-8") for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
TABLE = [
    line for line in (ROOT / "docs" / "telemetry.md").read_text(encoding="utf-8").splitlines() if line.startswith("| `")
]
NAMES = {name for line in TABLE for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", line.split("|")[1])}


def calls() -> Iterator[tuple[str, ast.Call]]:
    """All calls in files that measure something, with the names of what they call."""
    for source in SOURCES.values():
        if "opentelemetry" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call):
                called = node.func
                yield called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", ""), node


CALLS = list(calls())


def test_every_metric_is_documented() -> None:
    made = {
        argument.value
        for name, call in CALLS
        if re.fullmatch(r"create_\w*(counter|gauge|histogram)", name) and call.args
        for argument in call.args[:1]
        if isinstance(argument, ast.Constant)
    }
    assert "http.server.request.duration" in made
    assert made - NAMES == set()


def test_every_metric_that_is_documented_is_there() -> None:
    everything = "\n".join(SOURCES.values())
    assert len(NAMES) > 40
    elsewhere = ("waggle.cache.", "otel.sdk.")  # put together there, or counted by the library
    assert [name for name in NAMES if f'"{name}"' not in everything and not name.startswith(elsewhere)] == []


def test_every_attribute_of_a_metric_is_allowed() -> None:
    """One that is missing in the list would be dropped, and its metric say less than it seems to."""
    used = {
        key.value
        for name, call in CALLS
        if name in {"add", "record", "Observation"}
        for argument in call.args[1:2]
        if isinstance(argument, ast.Dict)
        for key in argument.keys
        if isinstance(key, ast.Constant)
    }
    assert "waggle.backend" in used
    assert used - ATTRIBUTES == set()


def test_every_attribute_that_is_documented_is_allowed() -> None:
    documented = {
        name for line in TABLE if NAMES & set(re.findall(r"`([a-z_.]+)`", line.split("|")[1]))
        for name in re.findall(r"`([a-z_]+\.[a-z_.]+)`", line.split("|")[3])
    }  # fmt: skip
    assert "messaging.consumer.group.name" in documented
    assert documented - ATTRIBUTES == set()
