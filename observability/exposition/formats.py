"""How families are written."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

JSON_TYPE: Final = "application/json"

_ENDINGS: Final = {"counter": "_total", "info": "_info"}
"""Of the names in the text format; prometheus_client has the families without."""


class Format(StrEnum):
    TEXT = "text"
    JSON = "json"

    @property
    def content_type(self) -> str:
        return JSON_TYPE if self is Format.JSON else CONTENT_TYPE_PLAIN_0_0_4


def chosen_format(*, accept: str, named: str | None) -> Format | None:
    """The format that a request asks for: by `?format=`, else by its `Accept` header, else text.

    None when it names one that there is not.
    """
    if named is not None:
        return Format(named) if named in {*Format} else None
    weights = dict(_weighted(accept))
    text = max((weights.get(kind, 0.0) for kind in ("text/plain", "text/*", "*/*")), default=0.0)
    return Format.JSON if weights.get(JSON_TYPE, 0.0) > text else Format.TEXT


def as_text(families: Sequence[Metric]) -> bytes:
    """The text format of Prometheus, version 0.0.4."""
    return generate_latest(_Collected(families))


def as_json(families: Iterable[Metric]) -> bytes:
    """The same as JSON: families with their samples, values as text as in Prometheus' API (`NaN` and `+Inf` among them)."""
    told = [
        {
            "name": _exposed_name(family),
            "type": family.type,
            "help": family.documentation,
            "samples": [
                {"name": sample.name, "labels": sample.labels, "value": _number(sample.value)}
                for sample in family.samples
            ],
        }
        for family in families
    ]
    return json.dumps({"metrics": told}, ensure_ascii=False).encode()


class _Collected(Collector):
    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


def _number(value: float) -> str:
    if math.isfinite(value):
        return repr(float(value))
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _exposed_name(family: Metric) -> str:
    return family.name + _ENDINGS.get(family.type, "")


def _weighted(accept: str) -> Iterator[tuple[str, float]]:
    """The media types of an `Accept` header with their weights (RFC 9110, section 12.5.1); unreadable weights count 0."""
    for part in accept.lower().split(",")[:32]:
        kind, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((text[2:] for text in parameters if text.startswith("q=")), "1")
        try:
            yield kind, float(weight)
        except ValueError:
            yield kind, 0.0
