"""Retrieval and generation: how good, how fast, how dear."""

from __future__ import annotations

from typing import Final

from deploy.dashboards.panels import Dashboard, Row, TextVariable, graph, number

TOKENS: Final = "gen_ai_client_token_usage_sum"


def _share(outcome: str) -> str:
    ended = "sum(increase(waggle_queries_total[1h]))"
    return f'(sum(increase(waggle_queries_total{{outcome="{outcome}"}}[1h])) or vector(0)) / {ended}'


def _mean(histogram: str, window: str) -> str:
    return f"sum(increase({histogram}_sum[{window}])) / sum(increase({histogram}_count[{window}]))"


def _used(kind: str, window: str) -> str:
    return f'(sum(increase({TOKENS}{{gen_ai_token_type="{kind}"}}[{window}])) or vector(0))'


COST: Final = f"({_used('input', '1h')} * $price_input + {_used('output', '1h')} * $price_output) / 1000000"

ANSWERS: Final = Dashboard(
    name="answers",
    title="Waggle: retrieval and generation",
    texts=[
        TextVariable("price_input", "Price of a million tokens read", "0"),
        TextVariable("price_output", "Price of a million tokens written", "0"),
    ],
    rows=[
        Row(
            "The last hour",
            [
                number("Answered", _share("answered"), unit="percentunit"),
                number("No answer in the documents", _share("no_answer"), unit="percentunit"),
                number("Find nothing", "(sum(increase(waggle_query_zero_hits_total[1h])) or vector(0)) / sum(increase(waggle_queries_total[1h]))", unit="percentunit", warning=0.5),
                number("Citations of an answer", _mean("waggle_answer_citations", "1h")),
                number("Score of the best passage", _mean("waggle_query_top_score", "1h")),
                number("Cost", COST, description="Of the tokens of the last hour, at the prices above, in their currency."),
            ],
        ),
        Row(
            "Quality",
            [
                graph("Questions by end", ("sum by (outcome) (rate(waggle_queries_total[$__rate_interval]))", "{{outcome}}"), unit="reqps", stacked=True),
                graph("Score of the best passage", *((f"histogram_quantile({q}, sum by (le) (rate(waggle_query_top_score_bucket[15m])))", f"p{round(q * 100)}") for q in (0.1, 0.5, 0.9))),
                graph("What answers rest on", ("sum by (waggle_answer) (increase(waggle_generate_answers_total[5m]))", "{{waggle_answer}}"), stacked=True),
                graph("Failures in 5 minutes", ("sum by (code) (increase(waggle_query_failures_total[5m])) or vector(0)", "{{code}}")),
                graph("Taken out of answers, in 5 minutes",
                    ("sum(increase(waggle_generate_markers_removed_total[5m])) or vector(0)", "citations that named no passage"),
                    ("sum by (waggle_reason) (increase(waggle_generate_guarded_total[5m])) or vector(0)", "{{waggle_reason}}"),
                    description="Links that no cited passage holds, markup, characters that nobody sees, and the prompt."),
                graph("Cache: hits of lookups", (
                    "sum by (waggle_cache_kind) (rate(waggle_cache_hits_total[5m])) / (sum by (waggle_cache_kind) (rate(waggle_cache_hits_total[5m])) + sum by (waggle_cache_kind) (rate(waggle_cache_misses_total[5m])))", "{{waggle_cache_kind}}"), unit="percentunit", most=1),
            ],
        ),
        Row(
            "Speed",
            [
                graph("Time of each stage, p95", ("histogram_quantile(0.95, sum by (le, waggle_stage) (rate(waggle_query_stage_duration_seconds_bucket[5m])))", "{{waggle_stage}}"), unit="s"),
                graph("Time to first token", *((f"histogram_quantile({q}, sum by (le) (rate(waggle_query_time_to_first_token_seconds_bucket[5m])))", f"p{round(q * 100)}") for q in (0.5, 0.95)), unit="s", warning=2, critical=5),
                graph("Time of a model's request, p95", ("histogram_quantile(0.95, sum by (le, gen_ai_request_model) (rate(gen_ai_client_operation_duration_seconds_bucket[5m])))", "{{gen_ai_request_model}}"), unit="s"),
            ],
        ),
        Row(
            "Models",
            [
                graph("Tokens per second", (f"sum by (gen_ai_request_model, gen_ai_token_type) (rate({TOKENS}[$__rate_interval])) or vector(0)", "{{gen_ai_request_model}} {{gen_ai_token_type}}")),
                graph("Requests that failed, in 5 minutes", ('sum by (gen_ai_request_model, error_type) (increase(gen_ai_client_operation_duration_seconds_count{error_type!=""}[5m])) or vector(0)', "{{gen_ai_request_model}} {{error_type}}")),
                graph("Endpoints: 0 well, 1 resting, 2 draining, 3 failing", ("max by (server_address, server_port) (waggle_endpoint_state) or vector(0)", "{{server_address}}:{{server_port}}"), most=3),
            ],
        ),
    ],
)  # fmt: skip
