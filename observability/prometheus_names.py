"""Names of OpenTelemetry's metrics in Prometheus.

They are those of opentelemetry-exporter-prometheus, which writes the gateway's `/metrics`, so that a figure has one name
wherever it is read (https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/). One thing
differs: a gauge or counter may not end like a part of a histogram, see `unreserved`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from contracts.metrics import Metric, MetricKind

TOTAL: Final = "_total"
BUCKET: Final = "_bucket"
SUM: Final = "_sum"
COUNT: Final = "_count"
RESERVED: Final = (BUCKET, SUM, COUNT)

_NOT_IN_NAMES: Final = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS: Final = re.compile(r"[^a-zA-Z0-9]+")
_ANNOTATION: Final = re.compile(r"{.*}")
_UNITS: Final = {
    "d": "days", "h": "hours", "min": "minutes", "s": "seconds", "ms": "milliseconds", "us": "microseconds",
    "ns": "nanoseconds", "By": "bytes", "KiBy": "kibibytes", "MiBy": "mebibytes", "GiBy": "gibibytes",
    "TiBy": "tibibytes", "KBy": "kilobytes", "MBy": "megabytes", "GBy": "gigabytes", "TBy": "terabytes",
    "m": "meters", "V": "volts", "A": "amperes", "J": "joules", "W": "watts", "g": "grams", "Cel": "celsius",
    "Hz": "hertz", "1": "", "%": "percent",
}  # fmt: skip
_PER: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_TAKEN: Final = frozenset({"service", "instance", "le"})
"""Labels that say which process and which bucket; an attribute of such a name becomes `exported_…`, as in Prometheus."""


def family_name(metric: Metric) -> str:
    """The name of a metric without what tells the series of a histogram apart."""
    name, unit = _NOT_IN_NAMES.sub("_", metric.name), unit_name(metric.unit)
    if metric.kind is MetricKind.COUNTER:
        name = name.removesuffix(TOTAL)
    if unit and not name.endswith(f"_{unit}"):
        name = f"{name}_{unit}"
    if metric.kind is MetricKind.COUNTER:
        return name + TOTAL
    return name if metric.kind is MetricKind.HISTOGRAM else unreserved(name)


def unreserved(name: str) -> str:
    """The name of what is no histogram, without the ending of a histogram's part: `process_thread` of `process_thread_count`.

    With it `promtool check metrics` refuses the whole page.
    """
    for ending in RESERVED:
        name = name.removesuffix(ending)
    return name


def unit_name(unit: str) -> str:
    """A unit of UCUM as it ends a name: `seconds` of `s`, `per_second` of `1/s`, nothing of `1` and `{request}`."""
    unit = _ANNOTATION.sub("", unit)
    if unit in _UNITS:
        return _UNITS[unit]
    top, slash, bottom = unit.partition("/")
    if slash and (below := _NOT_IN_NAMES.sub("_", bottom)):
        above = _NOT_IN_NAMES.sub("_", top)
        return "_per_".join((_UNITS.get(above, above), _PER.get(below, below))).removeprefix("_")
    return _NOT_IN_NAMES.sub("_", unit).strip("_")


def label_name(key: str) -> str:
    """An attribute's key as a label."""
    name = _NOT_IN_LABELS.sub("_", key)
    return f"exported_{name}" if name in _TAKEN else name


def labels_of(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as labels; of keys that become the same label the values are joined by `;`, in the order of the keys."""
    labels: dict[str, str] = {}
    for key, value in sorted(attributes):
        name = label_name(key)
        labels[name] = f"{labels[name]};{value}" if name in labels else value
    return labels


def bound_name(bound: float) -> str:
    """The value of `le` of a bucket."""
    return str(float(bound))
