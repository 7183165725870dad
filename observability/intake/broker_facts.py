"""How the broker, its streams and their consumers do, as `messaging.broker_facts` reads it, and as series."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from observability.intake import catalogue
from observability.intake.series_group import SeriesGroup
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.source import SeriesSink

DEAD_LETTERS_STREAM: Final = "DLQ"


@dataclass(frozen=True, kw_only=True, slots=True)
class StreamFacts:
    """A stream. `limit_bytes` is None where there is none; `oldest_s` is the age of its oldest message, 0 without any."""

    name: str
    messages: int
    size_bytes: int
    limit_bytes: int | None
    oldest_s: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ConsumerFacts:
    """A durable consumer.

    `waiting` are requests for messages. `stranded` is the number of messages that lie in its work queue and will not be
    delivered any more (counted up to a bound), None where its stream is no work queue. `oldest_s` is the age of the oldest
    message that waits or is in hand, 0 without any, None where it is not known.
    """

    stream: str
    name: str
    pending: int
    ack_pending: int
    redelivered: int
    waiting: int
    stranded: int | None = None
    oldest_s: float | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerFacts:
    """One look at the broker. Streams and consumers that could not be looked at are missing."""

    latency_s: float
    api_errors: int
    storage_bytes: int
    storage_limit_bytes: int | None = None
    connections: int | None = None
    streams: tuple[StreamFacts, ...] = ()
    consumers: tuple[ConsumerFacts, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class BrokerLook:
    """What a look has found at a time of our own clock, in seconds; None: the broker was away."""

    facts: BrokerFacts | None
    at: float


class BrokerSeries:
    """Writes what a look has found; when nobody answers, that the broker is down and nothing else."""

    def __init__(self, sink: SeriesSink) -> None:
        self._sink = sink
        self._group = SeriesGroup(sink)

    def write(self, facts: BrokerFacts | None, *, time_ms: int) -> None:
        """`facts` are None when the broker is away."""
        self._sink.append(_labels(catalogue.BROKER_UP), time_ms=time_ms, value=float(facts is not None))
        if facts is None:
            self._group.end(time_ms=time_ms)
        else:
            self._group.write(_values(facts), time_ms=time_ms)


def _values(facts: BrokerFacts) -> Iterator[tuple[Labels, float]]:
    whole: dict[str, float | None] = {
        catalogue.BROKER_LATENCY: facts.latency_s,
        catalogue.BROKER_API_ERRORS: facts.api_errors,
        catalogue.BROKER_STORAGE: facts.storage_bytes,
        catalogue.BROKER_STORAGE_LIMIT: facts.storage_limit_bytes,
        catalogue.BROKER_CONNECTIONS: facts.connections,
    }
    yield from _known(whole)
    for stream in facts.streams:
        yield from _known(_of_stream(stream), stream=stream.name)
        if stream.name == DEAD_LETTERS_STREAM:
            yield _labels(catalogue.DEAD_LETTERS), stream.messages
    for consumer in facts.consumers:
        yield from _known(_of_consumer(consumer), stream=consumer.stream, consumer=consumer.name)


def _of_stream(stream: StreamFacts) -> dict[str, float | None]:
    return {
        catalogue.STREAM_MESSAGES: stream.messages,
        catalogue.STREAM_BYTES: stream.size_bytes,
        catalogue.STREAM_LIMIT: stream.limit_bytes,
        catalogue.STREAM_OLDEST: stream.oldest_s,
    }


def _of_consumer(consumer: ConsumerFacts) -> dict[str, float | None]:
    return {
        catalogue.CONSUMER_PENDING: consumer.pending,
        catalogue.CONSUMER_ACK_PENDING: consumer.ack_pending,
        catalogue.CONSUMER_REDELIVERED: consumer.redelivered,
        catalogue.CONSUMER_WAITING: consumer.waiting,
        catalogue.CONSUMER_STRANDED: consumer.stranded,
        catalogue.CONSUMER_OLDEST: consumer.oldest_s,
    }


def _known(values: dict[str, float | None], **labels: str) -> Iterator[tuple[Labels, float]]:
    return ((_labels(name, **labels), float(value)) for name, value in values.items() if value is not None)


def _labels(name: str, **labels: str) -> Labels:
    return Labels({METRIC_NAME: name} | labels)
