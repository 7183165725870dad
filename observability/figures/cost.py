"""What the models' tokens cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from contracts.figure_settings import Price
from contracts.figures import Layer
from observability.figures.figure import Figure

TOKENS: Final = "gen_ai_client_token_usage_sum"
MILLION: Final = 1_000_000


def cost_figure(prices: Mapping[str, Price]) -> Figure:
    """The cost of the tokens of the last hour; unknown without prices. Tokens of models without a price cost nothing."""
    parts = [
        f"{_tokens(model, kind)} * {price / MILLION!r}"
        for model, both in prices.items()
        for kind, price in (("input", both.input), ("output", both.output))
    ]
    return Figure(
        name="cost",
        title="Cost of models",
        layer=Layer.BUSINESS,
        unit="{currency}/h",
        expression=" + ".join(parts) or f"{TOKENS} unless {TOKENS}",
        rests_on=TOKENS,
    )


def _tokens(model: str, kind: str) -> str:
    matchers = f"gen_ai_request_model={json.dumps(model, ensure_ascii=False)},gen_ai_token_type={json.dumps(kind)}"
    return f"(sum(increase({TOKENS}{{{matchers}}}[1h])) or vector(0))"
