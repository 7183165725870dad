"""Generated rules and series for their alerts: conditions that come, go, flap and vanish."""

from __future__ import annotations

from random import Random
from typing import Any, Final

from tests.support.promtool import Scenario

STEPS: Final = 40
INTERVAL_S: Final = 30
ANNOTATIONS: Final = (
    "{{ $labels.job }}/{{ $labels.instance }} is at {{ $value }}",
    '{{ $value | humanize }} {{ humanizePercentage $value }} {{ printf "%.2f" $value }} {{ $externalLabels.site }}',
    "{{- $value | humanizeDuration -}} {{ $value | humanize1024 }}",
    '{{ printf "%s-%6.1f|%-9.3e|%+g|%v" .Labels.job .Value .Value .Value .Value }}',
    'a {{ "quoted }}" }} {{ `raw` }} {{ $labels.nothing }}.',
)
WHO: Final = ("all", "all", "all", "team-{{ $labels.job }}", "x{{ $value }}")
ALERTS: Final = 10


class AlertCases:
    """Draws a rule file, and scenarios to evaluate it on."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)

    def rules(self) -> dict[str, Any]:
        return {
            "groups": [
                {
                    "name": "recorded",
                    "labels": {"made": "here"},
                    "rules": [
                        {"record": "job:level:max", "expr": "max by (job) (level)"},
                        {"record": "job:level:twice", "expr": "job:level:max * 2", "labels": {"kind": "twice"}},
                    ],
                },
                {"name": "alerts", "rules": [self._alert(number) for number in range(ALERTS)]},
            ]
        }

    def _alert(self, number: int) -> dict[str, Any]:
        random = self._random
        above = random.randint(1, 6)
        rule: dict[str, Any] = {
            "alert": f"Alert{number}",
            "expr": random.choice(
                (
                    f"level > {above}",
                    f"level > {above}",
                    f"avg_over_time(level[2m]) >= {above}",
                    f"sum by (job) (level) > {above * 2}",
                    "absent(level)",
                    'absent_over_time(level{instance="a"}[1m])',
                    f"job:level:max > {above}",
                    f"level == {above} or level > 6",
                    'ALERTS{alertname="Alert0",alertstate="firing"}',
                    f"vector({above}) > 3",
                )
            ),
            "labels": {"severity": random.choice(("warning", "critical")), "who": random.choice(WHO)},
            "annotations": {"summary": random.choice(ANNOTATIONS)},
        }
        hold, keep = random.choice(("", "30s", "1m", "2m", "45s", "5m")), random.choice(("", "30s", "1m", "3m", "50s"))
        return rule | ({"for": hold} if hold else {}) | ({"keep_firing_for": keep} if keep else {})

    def scenario(self) -> Scenario:
        random = self._random
        times = sorted({random.randint(0, STEPS * INTERVAL_S) for _ in range(12)})
        series = {
            f'level{{job="{job}",instance="{instance}"}}': self._values()
            for job in ("embed", "gateway")
            for instance in ("a", "b")
            if random.random() < 0.9
        }
        written = ("ALERTS", "ALERTS_FOR_STATE", "job:level:max", "job:level:twice")
        return Scenario(
            series=series,
            interval=f"{random.choice((15, 30, 60))}s",
            expressions=[(name, at) for at in times[::3] for name in written],
            alerts=[(f"Alert{number}", at) for at in times for number in range(ALERTS)],
            external_labels={"site": "north"},
        )

    def _values(self) -> str:
        random, values = self._random, list[str]()
        while len(values) < STEPS * 2:
            level = random.choice(("0", "2", "3", "5", "7", "NaN", "_", "stale", "7.5", "0.0004", "123456789"))
            values += [level] * random.randint(1, 9)
        return " ".join(values)
