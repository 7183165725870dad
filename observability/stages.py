"""Spans of the stages inside one piece of work.

The tracer travels in the context, from the middleware that began the work to whatever is called by it, as the current
span does: code that encodes or searches need not be handed one. Outside of traced work a stage costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from opentelemetry import context
from opentelemetry.trace import INVALID_SPAN, Link, Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.util.types import AttributeValue

Attributes = dict[str, AttributeValue]

_TRACER = context.create_key("waggle-tracer")


def with_tracer(tracer: Tracer, base: context.Context | None = None) -> context.Context:
    """`base`, or the current context, in which stages are traced by `tracer`."""
    return context.set_value(_TRACER, tracer, base)


@contextmanager
def stage(
    name: str,
    attributes: Attributes | None = None,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    links: tuple[Link, ...] = (),
    base: context.Context | None = None,
) -> Iterator[Span]:
    """A span around the body; do not yield out of it. `base` is its context where that is not the current one.

    Of an error only its class is told: messages may quote what was asked or written.
    """
    tracer = context.get_value(_TRACER, base)
    if not isinstance(tracer, Tracer):
        yield INVALID_SPAN
        return
    token = context.attach(base) if base is not None else None
    try:
        with tracer.start_as_current_span(
            name, kind=kind, attributes=attributes, links=links, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except Exception as error:
                mark_failed(span, type(error).__name__)
                raise
    finally:
        if token is not None:
            context.detach(token)


def mark_failed(span: Span, error_type: str) -> None:
    """Say that what the span is of failed, by a low-cardinality word."""
    span.set_attribute("error.type", error_type)
    span.set_status(StatusCode.ERROR)


@contextmanager
def together(name: str, works: Sequence[context.Context]) -> Iterator[Span]:
    """A trace of its own for work that is done once for several `works`, linked to each of them."""
    tracer = context.get_value(_TRACER, works[0])
    if not isinstance(tracer, Tracer):
        yield INVALID_SPAN
        return
    spans = [get_current_span(work).get_span_context() for work in works]
    links = tuple(Link(span) for span in spans if span.is_valid)
    attributes: Attributes = {"messaging.system": "nats", "messaging.batch.message_count": len(works)}
    base = with_tracer(tracer, context.Context())
    with stage(name, attributes, kind=SpanKind.CONSUMER, links=links, base=base) as span:
        yield span
