"""What is counted of answers. Names follow the OpenTelemetry conventions for generative AI where they have one."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry.metrics import Meter
from opentelemetry.trace import Span, SpanKind
from opentelemetry.util.types import AttributeValue

from observability.stages import stage
from workers.endpoints.genai import ModelFigures
from workers.generate.base import Answer, GeneratorIdentity


class Measures:
    """Counts answers, tokens and citation markers, and traces how they are made."""

    def __init__(self, meter: Meter, *, provider: str, by_endpoints: bool) -> None:
        """`provider` is what kind of generator answers; `by_endpoints`: its endpoints measure each request themselves."""
        self._provider = provider
        self._figures = None if by_endpoints else ModelFigures(meter)
        self._kind = SpanKind.CLIENT if by_endpoints else SpanKind.INTERNAL
        self._answers = meter.create_counter("waggle.generate.answers", description="Answers, by what they rest on.")
        self._removed = meter.create_counter(
            "waggle.generate.markers.removed", description="Citation markers that named no passage and were taken out."
        )
        self._guarded = meter.create_counter(
            "waggle.generate.guarded", description="What was kept from the readers of answers, by what it was."
        )

    @contextmanager
    def generation(self, identity: GeneratorIdentity) -> Iterator[Generation]:
        """Measure the body, in which one answer is made."""
        attributes: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": self._provider,
            "gen_ai.request.model": identity.model,
        }
        version = {} if identity.prompt_version is None else {"waggle.prompt.version": identity.prompt_version}
        error: str | None = None
        with stage(f"chat {identity.model}", {**attributes, **version}, kind=self._kind) as span:
            generation = Generation(span, attributes, self._figures)
            try:
                yield generation
            except Exception as failure:
                error = type(failure).__name__
                raise
            finally:
                if self._figures is not None:
                    self._figures.operation(attributes, generation.elapsed_s, error=error)

    def answered(self, identity: GeneratorIdentity, answer: Answer) -> None:
        """Take down an answer that its query has ended with."""
        rests_on = "nothing" if not answer.answered else "passages" if answer.citations else "no citation"
        model = {"gen_ai.request.model": identity.model}
        self._answers.add(1, {**model, "waggle.answer": rests_on})
        if answer.removed_markers:
            self._removed.add(answer.removed_markers, model)
        for reason, number in answer.removed.items():
            self._guarded.add(number, {**model, "waggle.reason": reason.value})


class Generation:
    """One answer in the making."""

    def __init__(self, span: Span, attributes: dict[str, AttributeValue], figures: ModelFigures | None) -> None:
        self._span = span
        self._attributes = attributes
        self._figures = figures
        self._began = time.perf_counter()
        self._begun_to_speak = False

    @property
    def elapsed_s(self) -> float:
        return time.perf_counter() - self._began

    def spoke(self) -> None:
        """A piece of it has come; only the first is told."""
        if self._begun_to_speak:
            return
        self._begun_to_speak = True
        seconds = self.elapsed_s
        self._span.add_event("first token")
        self._span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
        if self._figures is not None:
            self._figures.first_token(self._attributes, seconds)

    def ended(self, answer: Answer) -> None:
        """All of it has come."""
        read, written = answer.usage.prompt_tokens, answer.usage.completion_tokens
        self._span.set_attribute("gen_ai.response.finish_reasons", (answer.finish_reason,))
        self._span.set_attribute("gen_ai.usage.input_tokens", read)
        self._span.set_attribute("gen_ai.usage.output_tokens", written)
        if self._figures is not None:
            self._figures.tokens(self._attributes, read=read, written=written)
