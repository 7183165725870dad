"""What vLLM's engine measures of itself, as OpenTelemetry metrics of the conventions for generative AI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentelemetry.metrics import CallbackOptions, Meter, Observation
from vllm.v1.metrics.loggers import StatLoggerBase

PREFIX_HITS = "waggle.vllm.prefix_cache.tokens"


def stat_logger(meter: Meter, model: str) -> Callable[[Any, int], StatLoggerBase]:
    """What the engine calls to have its figures taken down."""

    def build(_: Any, __: int = 0) -> StatLoggerBase:
        return _EngineStats(meter, model)

    return build


class _EngineStats(StatLoggerBase):  # type: ignore[misc]  # vLLM is not there where types are checked
    """Takes down every step of the engine."""

    def __init__(self, meter: Meter, model: str) -> None:  # the engine does not construct it itself
        self._model = {"gen_ai.request.model": model}
        self._first_token = meter.create_histogram(
            "gen_ai.server.time_to_first_token", unit="s", description="From a request to its first token."
        )
        self._per_token = meter.create_histogram(
            "gen_ai.server.time_per_output_token", unit="s", description="Between two tokens of a reply."
        )
        self._duration = meter.create_histogram(
            "gen_ai.server.request.duration", unit="s", description="From a request to its last token."
        )
        self._queued = meter.create_histogram(
            "waggle.vllm.queue.duration", unit="s", description="How long a request waited for its first step."
        )
        self._cached = meter.create_counter(
            PREFIX_HITS, unit="{token}", description="Prompt tokens that were not computed again."
        )
        self._scheduled: Any = None
        for name, unit, what, read in (
            ("waggle.vllm.requests.running", "{request}", "Requests in the batch.", lambda s: s.num_running_reqs),
            ("waggle.vllm.requests.waiting", "{request}", "Requests that wait.", lambda s: s.num_waiting_reqs),
            ("waggle.vllm.kv_cache.usage", "1", "Share of the KV cache in use.", lambda s: s.kv_cache_usage),
        ):
            meter.create_observable_gauge(name, [self._observed(read)], unit=unit, description=what)

    def record(
        self,
        scheduler_stats: Any,
        iteration_stats: Any,
        mm_cache_stats: Any = None,
        engine_idx: int = 0,
    ) -> None:
        if scheduler_stats is not None:
            self._scheduled = scheduler_stats
            self._cached.add(scheduler_stats.prefix_cache_stats.hits, self._model)
        if iteration_stats is None:
            return
        for seconds in iteration_stats.time_to_first_tokens_iter:
            self._first_token.record(seconds, self._model)
        for seconds in iteration_stats.inter_token_latencies_iter:
            self._per_token.record(seconds, self._model)
        for finished in iteration_stats.finished_requests:
            self._duration.record(finished.e2e_latency, self._model)
            self._queued.record(finished.queued_time, self._model)

    def log_engine_initialized(self) -> None:
        """Waggle logs it itself."""

    def _observed(self, read: Callable[[Any], float]) -> Callable[[CallbackOptions], list[Observation]]:
        def observe(_: CallbackOptions) -> list[Observation]:
            return [Observation(read(self._scheduled), self._model)] if self._scheduled is not None else []

        return observe
