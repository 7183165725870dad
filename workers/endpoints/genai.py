"""Figures of work that a model does, by the semantic conventions for generative AI."""

from __future__ import annotations

from opentelemetry.metrics import Meter
from opentelemetry.util.types import AttributeValue

Attributes = dict[str, AttributeValue]

_DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0)
_TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576)


class ModelFigures:
    """Times and tokens of requests to a model, wherever it runs. The conventions name buckets and attributes."""

    def __init__(self, meter: Meter) -> None:
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            unit="s",
            description="Time of a request to a model.",
            explicit_bucket_boundaries_advisory=_DURATION_S,
        )
        self._first = meter.create_histogram(
            "gen_ai.client.operation.time_to_first_chunk",
            unit="s",
            description="Time from a request to the first token of its reply.",
            explicit_bucket_boundaries_advisory=_FIRST_S,
        )
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            unit="{token}",
            description="Tokens read and written.",
            explicit_bucket_boundaries_advisory=_TOKENS,
        )

    def operation(self, attributes: Attributes, seconds: float, *, error: str | None) -> None:
        """One request; `error` is the cause of its failure, None if it went well."""
        failed = {"error.type": error} if error else {}
        self._duration.record(seconds, {**attributes, **failed})

    def first_token(self, attributes: Attributes, seconds: float) -> None:
        self._first.record(seconds, attributes)

    def tokens(self, attributes: Attributes, *, read: int, written: int) -> None:
        for kind, count in (("input", read), ("output", written)):
            self._tokens.record(count, {**attributes, "gen_ai.token.type": kind})
