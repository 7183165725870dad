"""What causes read is there to be read."""

from __future__ import annotations

import importlib
import pkgutil

from contracts.diagnoses import Cause
from observability.diagnosis import causes, components, needs
from observability.diagnosis.causes import bad_release
from observability.diagnosis.signals import Measure
from tests.support.series_names import ROOT, names_in, series_names

TRACKED = {
    "process_memory_usage_bytes",
    "waggle_consumer_pending",
    "system_filesystem_utilization",
    "waggle_broker_storage_bytes",
}


def measures() -> list[Measure]:
    modules = [components, needs]
    modules += [
        importlib.import_module(f"{causes.__name__}.{info.name}") for info in pkgutil.iter_modules(causes.__path__)
    ]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, Measure)]
    return found + [each for pair in bad_release.WORKS for counted in pair for each in (counted.total, counted.within)]


def test_every_series_that_is_read_exists() -> None:
    found = measures()
    asked = {name for each in found for text in (each.expression, each.rests_on) for name in names_in(text)}

    assert len(found) > 35
    assert (asked | TRACKED) - series_names() == set()


def test_what_a_measure_rests_on_are_samples_with_their_times() -> None:
    for each in measures():
        assert not any(sign in each.rests_on for sign in "()[ "), each


def test_the_page_says_of_every_cause_when_it_is_named_and_what_it_tells() -> None:
    page = (ROOT / "docs" / "diagnosis.md").read_text(encoding="utf-8")

    for cause in Cause:
        name = cause.replace("_", " ")
        assert f"| {name} | " in page, name
        assert f"- **{name.capitalize()}**" in page, name
