"""promtool's files of unit tests, as data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from observability.promql import Labels
from observability.rules.testing import notation
from observability.rules.validation import DurationMs, StrictModel

_SPECIAL: Final = {".inf": "inf", "+.inf": "inf", "-.inf": "-inf", ".nan": "nan"}


def _value(value: object) -> object:
    return _SPECIAL.get(value.lower(), value) if isinstance(value, str) else value


def _start(value: object) -> object:
    """Seconds since 1970, or a time as in RFC 3339; in milliseconds."""
    if not isinstance(value, str):
        return value
    try:
        return round(float(value) * 1000)
    except ValueError:
        return round(datetime.fromisoformat(value).timestamp() * 1000)


Number = Annotated[float, BeforeValidator(_value)]
Series = Annotated[Labels, BeforeValidator(lambda value: notation.series(value) if isinstance(value, str) else value)]
Values = Annotated[
    list[float | None], BeforeValidator(lambda value: notation.values(value) if isinstance(value, str) else value)
]


class _Lenient(StrictModel):
    model_config = StrictModel.model_config | {"arbitrary_types_allowed": True}


class InputSeries(_Lenient):
    series: Series
    values: Values


class ExpectedAlert(StrictModel):
    exp_labels: dict[str, str] = Field(default_factory=dict)
    exp_annotations: dict[str, str] = Field(default_factory=dict)


class AlertTest(StrictModel):
    """Which alerts fire at a time."""

    eval_time: DurationMs = 0
    alertname: str = Field(min_length=1)
    exp_alerts: tuple[ExpectedAlert, ...] = ()


class ExpectedSample(_Lenient):
    labels: Series = Labels()
    value: Number = 0.0


class ExpressionTest(StrictModel):
    """What an expression yields at a time."""

    expr: str
    eval_time: DurationMs = 0
    exp_samples: tuple[ExpectedSample, ...] = ()


class TestGroup(StrictModel):
    """Tests that share their series."""

    __test__ = False  # pytest would take it for tests

    name: str = ""
    interval: DurationMs | None = None
    start_timestamp: Annotated[int, BeforeValidator(_start)] = 0
    input_series: tuple[InputSeries, ...] = ()
    alert_rule_test: tuple[AlertTest, ...] = ()
    promql_expr_test: tuple[ExpressionTest, ...] = ()
    external_labels: dict[str, str] = Field(default_factory=dict)
    external_url: str = ""


class TestFile(StrictModel):
    """A file of unit tests. `fuzzy_compare` lets values differ by one unit in their last place."""

    __test__ = False

    rule_files: tuple[str, ...] = ()
    evaluation_interval: DurationMs = 60_000
    group_eval_order: tuple[str, ...] = ()
    fuzzy_compare: bool = False
    tests: tuple[TestGroup, ...] = ()
