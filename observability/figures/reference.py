"""docs/figures.md, written from the figures themselves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from contracts.figures import Direction
from observability.figures.catalogue import FIGURES
from observability.figures.cost import cost_figure
from observability.figures.figure import Figure

HEAD: Final = """# Key figures

What counts most of each layer, as one number with a status: `healthy`, `warning`, `critical` or `unknown`. Of several hosts, consumers
or processes the worst is shown, with its labels.

**No data is never healthy.** A figure is unknown without samples, where it has no finite value (a share of no questions), and where the
samples it rests on are older than a minute: an expression over five minutes would go on looking well after its data has stopped.

Thresholds are those of the [shipped alerts](runbooks/README.md), which also want a figure to stay bad for a while. Others for the figures:
`WAGGLE_FIGURE_THRESHOLDS=response_time_p95=1/3,throughput=100/50` (warning/critical; a single number is critical; names as below). The
throughput has none by default: set a floor where traffic is expected. Those of the alerts are in their rules: to change them, copy
[the files](../deploy/rules), name the copies in `WAGGLE_RULES`, and set `WAGGLE_SHIPPED_RULES=off`.

The cost of models is known where prices are: `WAGGLE_MODEL_PRICES=Qwen/Qwen3-8B=0.05/0.2`, for a million tokens read and written, in any one
currency. Models without a price cost nothing.

**Uptime** is told for each service: the share of the last hour and of the last day in which one instance at least was heard. Time in which
the service was stopped in order, and time in which nobody watched, do not count; steps are 10 s and a minute.

This page is written by `make docs` from `observability/figures`.
"""

_TABLE: Final = (
    "| figure | what it is | unit | warning | critical | expression |\n| --- | --- | --- | --- | --- | --- |\n"
)


def reference() -> str:
    """The page."""
    figures = (*FIGURES, cost_figure({}))
    layers = dict.fromkeys(figure.layer for figure in figures)
    parts = [
        f"\n## {layer.value.capitalize()}\n\n{_TABLE}"
        + "".join(_row(figure) for figure in figures if figure.layer is layer)
        for layer in layers
    ]
    return HEAD + "".join(parts)


def _row(figure: Figure) -> str:
    sign = ">" if figure.bad is Direction.ABOVE else "<"
    warning, critical = (
        "" if threshold is None else f"{sign} {threshold:g}"
        for threshold in (figure.thresholds.warning, figure.thresholds.critical)
    )
    expression = "tokens × prices" if figure.name == "cost" else f"`{figure.expression.replace('|', chr(92) + '|')}`"
    return f"| `{figure.name}` | {figure.title} | `{figure.unit}` | {warning} | {critical} | {expression} |\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
