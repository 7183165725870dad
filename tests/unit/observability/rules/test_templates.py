"""Templates of labels and annotations. That they read as Prometheus writes them is told by promtool (tests/engines)."""

from __future__ import annotations

import math

import pytest

from observability.rules.templates import MOST_CHARACTERS, MOST_EXPANDED, AlertData, TemplateError, parse


def filled(template: str, value: float = 1234567.0, **labels: str) -> str:
    data = AlertData(labels=labels, value=value, external_labels={"site": "north"}, external_url="http://waggle")
    return parse(template).expand(data)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("plain", "plain"),
        ("{{ $labels.job }} at {{ $value }}", "embed at 1.234567e+06"),
        ("{{.Labels.job}}/{{ .Value | humanize }}", "embed/1.235M"),
        ("{{ $labels.nothing }}.", "."),
        ("{{ $externalLabels.site }} {{ $externalURL }}", "north http://waggle"),
        ("a  {{- $labels.job -}}  b", "aembedb"),
        ('{{ printf "%.1f %s %v%%" $value $labels.job $value }}', "1234567.0 embed 1.234567e+06%"),
        ('{{ $value | printf "%e" }}', "1.234567e+06"),
        ('{{ "}}" }}{{ `"` }}', '}}"'),
        ("{{ humanizePercentage $value | printf `%s!` }}", "1.235e+08%!"),
        ("{ {{ $labels.job }} }", "{ embed }"),
    ],
)
def test_templates_are_filled(template: str, text: str) -> None:
    assert filled(template, job="embed") == text


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        ("humanize", 0.0, "0"),
        ("humanize", 0.004, "4m"),
        ("humanize", -1500.0, "-1.5k"),
        ("humanize", math.inf, "+Inf"),
        ("humanize1024", 1048576.0, "1Mi"),
        ("humanize1024", 0.5, "0.5"),
        ("humanizeDuration", 90061.5, "1d 1h 1m 1s"),
        ("humanizeDuration", 3600.0, "1h 0m 0s"),
        ("humanizeDuration", -61.0, "-1m 1s"),
        ("humanizeDuration", 1.5, "1.5s"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 0.0000015, "1.5us"),
        ("humanizeDuration", math.nan, "NaN"),
        ("humanizePercentage", 0.12345, "12.35%"),
        ("humanizePercentage", -math.inf, "-Inf%"),
    ],
)
def test_numbers_are_for_people(function: str, value: float, text: str) -> None:
    assert filled(f"{{{{ $value | {function} }}}}", value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (5.0, "5"), (0.1, "0.1"), (100000.0, "100000"), (1e6, "1e+06"), (0.0001, "0.0001"), (0.00001, "1e-05"),
     (1e21, "1e+21"), (-2.5e-7, "-2.5e-07"), (math.inf, "+Inf"), (-math.inf, "-Inf"), (math.nan, "NaN")],
)  # fmt: skip
def test_values_are_written_as_go_writes_them(value: float, text: str) -> None:
    assert filled("{{ $value }}", value) == text


@pytest.mark.parametrize(
    ("template", "named"),
    [
        ("{{ if $value }}x{{ end }}", "if"),
        ("{{ range $value }}", "range"),
        ("{{ $labels }}", r"\$labels"),
        ("{{ $other.x }}", r"\$other"),
        ("{{ query `up` }}", "query"),
        ("{{ $value | title }}", "title"),
        ("{{ ($value) }}", r"\("),
        ("{{ 5 }}", "5"),
        ("{{ }}", "empty"),
        ("{{ $value | }}", "nothing beside"),
        ("{{ $value $value }}", "no function"),
        ("{{ humanize }}", "takes one value"),
        ("{{ printf $value }}", "format as text"),
        ('{{ printf "%d" $value }}', "%d"),
        ('{{ printf "%5" $value }}', "%5"),
        ('{{ printf "%s" $value }}', "%s"),
        ('{{ printf "%.2f" $labels.job }}', "%f"),
        ('{{ printf "%f" }}', "1 verbs for 0 values"),
        ('{{ printf "%99999f" $value }}', "wider"),
        ("{{ $value", "without its"),
        ("{{/* comment */}}", "/"),
    ],
)
def test_what_is_not_taken_is_refused_by_name(template: str, named: str) -> None:
    with pytest.raises(TemplateError, match=named):
        parse(template)


def test_a_label_that_is_no_number_is_said_in_the_text() -> None:
    assert filled("{{ $labels.job | humanize }}", job="embed").startswith("<error expanding template: ")


def test_what_is_made_of_a_template_is_bounded() -> None:
    assert len(filled('{{ printf "%1000.0f" $value }}' * 1000)) == MOST_EXPANDED


def test_a_template_that_is_too_long_is_refused_unread() -> None:
    with pytest.raises(TemplateError, match="characters"):
        parse("{{ $value }}" * MOST_CHARACTERS)
