"""Generated series and expressions, the same for the same seed: what real rules look like, and what is hard to get right.

Values are quarters, with a fraction that tells series apart: sums then do not depend on the order of series, which
promtool leaves to chance, and `topk` has no ties.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Final

from tests.support.promtool import Scenario

SAMPLES: Final = 50
INTERVAL_S: Final = 30
JOBS: Final = ("embed", "gateway")
INSTANCES: Final = ("a", "b", 'c"\\ü')
BOUNDS: Final = ("0.1", "0.5", "1", "1.0", "5", "+Inf")


class Cases:
    """Draws scenarios."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def scenario(self, expressions: int) -> Scenario:
        drawn = {self._expression(): None for _ in range(expressions)}
        return Scenario(
            series=self._series(), interval=f"{INTERVAL_S}s", expressions=[(text, self._time()) for text in drawn]
        )

    def _time(self) -> int:
        random = self._random
        aligned = INTERVAL_S * random.randint(0, SAMPLES + 12)
        return aligned if random.random() < 0.5 else aligned + random.choice((1, 7, 15, 29))

    def _series(self) -> dict[str, str]:
        quoted = [instance.replace("\\", "\\\\").replace('"', '\\"') for instance in INSTANCES]
        series: dict[str, str] = {}
        number = 0
        for job in JOBS:
            for instance in quoted:
                number += 1
                labels = f'{{job="{job}",instance="{instance}"}}'
                series[f"requests_total{labels}"] = self._counter()
                series[f"errors_total{labels}"] = self._counter()
                series[f"load{labels}"] = self._gauge(number)
                series[f"calm{labels}"] = self._calm(number)
            series[f'limit{{job="{job}",zone="z"}}'] = self._calm(number)
            series[f'build{{job="{job}",version="v{self._random.randint(1, 2)}"}}'] = f"1x{SAMPLES}"
            for bound in BOUNDS:
                series[f'latency_bucket{{job="{job}",le="{bound}"}}'] = self._counter()
        series["lonely"] = self._gauge(99)
        return series

    def _counter(self) -> str:
        value, values = self._random.choice((0.0, 0.0, 3.0, 1000.0)), []
        slope = self._random.choice((0, 1, 1, 4, 20))
        for _ in range(SAMPLES):
            value += self._random.randint(0, slope) if slope else 0
            if self._random.random() < 0.04:
                value = self._random.choice((0.0, 1.0))
            values.append(self._with_gaps(f"{value:g}"))
        return self._cut(values)

    def _gauge(self, number: int) -> str:
        odd = self._random.random() < 0.4
        values = []
        for _ in range(SAMPLES):
            value = repr(self._random.randint(-40, 40) / 4 + number / 1024)
            if odd and self._random.random() < 0.2:
                value = self._random.choice(("NaN", "Inf", "-Inf"))
            values.append(self._with_gaps(value))
        return self._cut(values)

    def _calm(self, number: int) -> str:
        """No gaps, nothing odd; now and then the same value for a while."""
        value, values = 0.0, []
        for _ in range(SAMPLES):
            if self._random.random() < 0.5:
                value = self._random.randint(1, 400) / 4 + number / 1024
            values.append(repr(value or number / 1024))
        return " ".join(values)

    def _with_gaps(self, value: str) -> str:
        chance = self._random.random()
        return "_" if chance < 0.08 else "stale" if chance < 0.1 else value

    def _cut(self, values: list[str]) -> str:
        """Some series begin late or end early."""
        late = self._random.choice((0, 0, 0, 5, 20))
        early = self._random.choice((0, 0, 0, 10))
        return " ".join(["_"] * late + values[late : len(values) - early])

    def _expression(self) -> str:
        return self._vector(3) if self._random.random() < 0.95 else self._scalar(2)

    def _vector(self, depth: int) -> str:
        if depth == 0:
            return self._selector()
        kinds: list[Callable[[int], str]] = [
            self._over_range,
            self._over_range,
            self._over_range,
            self._aggregated,
            self._aggregated,
            self._with_number,
            self._with_number,
            self._matched,
            self._matched,
            self._set,
            self._elementwise,
            self._special,
            lambda _: self._selector(),
        ]
        return self._random.choice(kinds)(depth - 1)

    def _metric(self) -> str:
        return self._random.choice(
            ("requests_total", "errors_total", "load", "load", "calm", "limit", "latency_bucket", "lonely", "nothing")
        )

    def _matchers(self) -> str:
        if self._random.random() < 0.5:
            return ""
        chosen = self._random.choice(
            ('job="embed"', 'job!="embed"', 'instance=~"a|b"', 'instance!~"a.*"', 'zone=""', 'job=~".+",instance!="a"',
             'le="+Inf"', 'job=~"(?i)EMBED"', 'instance=~".*ü"')
        )  # fmt: skip
        return f"{{{chosen}}}"

    def _shift(self) -> str:
        chance = self._random.random()
        if chance < 0.7:
            return ""
        if chance < 0.9:
            return self._random.choice((" offset 1m", " offset 5m", " offset -1m", " offset 45s"))
        return self._random.choice((" @ 300", " @ 600 offset 1m", " @ start()", " @ end()", " offset 30s @ 900"))

    def _selector(self) -> str:
        if self._random.random() < 0.05:
            return '{__name__=~"load|calm",job="embed"}' + self._shift()
        return f"{self._metric()}{self._matchers()}{self._shift()}"

    def _range(self) -> str:
        span = self._random.choice(("30s", "45s", "1m", "1m1s", "2m", "5m", "5m", "10m", "1h"))
        if self._random.random() < 0.05:
            return '{__name__=~"load|calm"}' + f"[{span}]"
        return f"{self._metric()}{self._matchers()}[{span}]{self._shift()}"

    def _over_range(self, depth: int) -> str:
        name = self._random.choice(
            ("rate", "rate", "increase", "irate", "delta", "idelta", "deriv", "avg_over_time", "min_over_time",
             "max_over_time", "sum_over_time", "count_over_time", "last_over_time", "stddev_over_time",
             "stdvar_over_time", "present_over_time", "resets", "changes", "absent_over_time", "predict_linear",
             "quantile_over_time")
        )  # fmt: skip
        if name == "predict_linear":
            return f"predict_linear({self._range()}, {self._number()})"
        if name == "quantile_over_time":
            return f"quantile_over_time({self._share()}, {self._range()})"
        return f"{name}({self._range()})"

    def _aggregated(self, depth: int) -> str:
        grouping = self._random.choice(
            ("", "", " by (job)", " by (job, instance)", " without (instance)", " without (le, job)", " by ()",
             " without ()", " by (__name__, job)", " by (nothing)")
        )  # fmt: skip
        name = self._random.choice(
            ("sum", "sum", "avg", "min", "max", "count", "group", "stddev", "stdvar", "quantile", "topk", "bottomk")
        )
        if name in {"topk", "bottomk"}:
            operand = self._random.choice((f"calm{self._matchers()}", f"calm{self._matchers()} * 2"))
            return f"{name}{grouping} ({self._random.choice(('1', '2', '0', '2.9', '-1', '100'))}, {operand})"
        operand = self._vector(depth)
        if name == "quantile":
            return f"quantile{grouping} ({self._share()}, {operand})"
        return f"{name}{grouping} ({operand})"

    def _with_number(self, depth: int) -> str:
        operator = self._random.choice(
            ("+", "-", "*", "/", "%", "^", "==", "!=", ">", "<", ">=", "<=", "> bool", "== bool", "<= bool")
        )
        vector, number = f"({self._vector(depth)})", self._scalar(1)
        return f"{vector} {operator} {number}" if self._random.random() < 0.7 else f"{number} {operator} {vector}"

    def _matched(self, depth: int) -> str:
        operator = self._random.choice(("+", "-", "*", "/", "%", ">", "==", "<= bool", "!="))
        left, right, matching = self._random.choice(
            (
                ("load", "calm", ""),
                ("errors_total", "requests_total", ""),
                ("rate(errors_total[5m])", "rate(requests_total[5m])", ""),
                ("load", "calm", "on(job, instance)"),
                ("load", "calm", "ignoring(zone)"),
                ("calm", "limit", "on(job) group_left()"),
                ("calm", "limit", "on(job) group_left(zone)"),
                ("limit", "load", "on(job) group_right(zone)"),
                ("limit", "calm", "ignoring(instance, zone) group_right()"),
                ("calm", "build", "on(job) group_left(version)"),
                ("calm", "limit", "on(job)"),
                ("calm", "load", "on(job)"),
                ("limit", "build", "on(job)"),
                ("sum by (job) (load)", "limit", "on(job)"),
                ("latency_bucket", 'latency_bucket{le="+Inf"}', "ignoring(le) group_left()"),
                ("calm", "limit", "on(job) group_left(instance)"),
                ("calm", "calm", "on(instance, job) group_left(job)"),
                ("lonely", "sum(calm)", "on()"),
                (self._vector(0), self._vector(0), ""),
            )
        )
        return f"({left}) {operator} {matching} ({right})"

    def _set(self, depth: int) -> str:
        operator = self._random.choice(("and", "or", "unless"))
        matching = self._random.choice(("", "", "on(job)", "ignoring(instance)", "on()"))
        return f"({self._vector(depth)}) {operator} {matching} ({self._vector(depth)})"

    def _elementwise(self, depth: int) -> str:
        operand = self._vector(depth)
        return self._random.choice(
            (f"abs({operand})", f"ceil({operand})", f"floor({operand})", f"round({operand})", f"round({operand}, 0.5)",
             f"clamp({operand}, -2, {self._number()})", f"clamp_min({operand}, {self._number()})",
             f"clamp_max({operand}, {self._number()})", f"-({operand})", f"sort({operand})", f"sort_desc({operand})")
        )  # fmt: skip

    def _special(self, depth: int) -> str:
        operand = self._vector(depth)
        return self._random.choice(
            (
                f"absent({self._selector()})",
                f"absent(({self._selector()}))",
                f"absent({operand})",
                f"timestamp({self._selector()})",
                f"timestamp({operand})",
                f"histogram_quantile({self._share()}, rate(latency_bucket[5m]))",
                f"histogram_quantile({self._share()}, sum by (le) (rate(latency_bucket{self._matchers()}[10m])))",
                f"histogram_quantile({self._share()}, latency_bucket)",
                f"histogram_quantile({self._share()}, {operand})",
                f"vector({self._scalar(1)})",
                f'label_replace({operand}, "kind", "$1-x", "job", "(.).*")',
                f'label_replace({operand}, "job", "", "job", ".*")',
                f'label_replace({operand}, "__name__", "made_$0", "instance", "a|b")',
                f'label_replace({operand}, "job", "${{x}}$$", "instance", "(?P<x>.+)")',
            )
        )

    def _scalar(self, depth: int) -> str:
        if depth == 0 or self._random.random() < 0.6:
            return self._number()
        return self._random.choice(
            (
                "time()",
                f"scalar({self._vector(1)})",
                f"({self._scalar(depth - 1)} {self._random.choice(('+', '-', '*', '/', '%', '^', '> bool', '== bool'))} {self._scalar(depth - 1)})",
                f"-{self._number()}",
            )
        )

    def _number(self) -> str:
        return self._random.choice(("0", "1", "2", "0.5", "-1", "3", "10", "100", "NaN", "Inf", "-Inf", "1e3"))

    def _share(self) -> str:
        return self._random.choice(("0", "0.5", "0.9", "0.99", "1", "0.25", "-0.1", "1.5", "NaN"))
