"""Where a process can be struck: one table of fault points.

A point is the moment before or after a call of a production function. The functions know nothing of it: the harness's
own worker process wraps them from outside (see `tests.faults.striking`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts import topology
from contracts.events import DocumentFact

Arguments = Mapping[str, Any]


class Work(StrEnum):
    """What brings a process to a point."""

    DOCUMENT = "document"  # a new document
    REPLACEMENT = "replacement"  # another version of a document, whose earlier rows are purged
    QUESTION = "question"
    EXPIRY = "expiry"  # a question that no worker answers by its deadline
    EXHAUSTION = "exhaustion"  # a message that was delivered as often as it may be


@dataclass(frozen=True, kw_only=True)
class Point:
    """`where` is `module:Class.method`, a coroutine function; `only` looks at the arguments of the call, `before` which it is reached, else after it."""

    name: str
    service: str
    work: Work
    where: str
    before: bool = False
    only: Callable[[Arguments], bool] = lambda _: True
    about: Callable[[Arguments], str] | None = None
    """Where a call is about certain messages: a text that holds their documents' ids."""


def _received(service: str, consumer: topology.Consumer, work: Work) -> Point:
    """Decoded and judged fit for a try; the handler is about to be called."""
    return Point(
        name=f"{consumer.durable}.received",
        service=service,
        work=work,
        where="messaging.middlewares.deadline:Deadline.__call__",
        before=True,
        only=lambda call: call["incoming"].consumer.durable == consumer.durable,
        about=lambda call: call["incoming"].raw.data.decode(errors="replace"),
    )


def _unacknowledged(service: str, consumer: topology.Consumer, work: Work) -> Point:
    """All effects are there; the acknowledgement is about to be sent."""
    return Point(
        name=f"{consumer.durable}.unacknowledged",
        service=service,
        work=work,
        where="nats.aio.msg:Msg.ack",
        before=True,
        only=lambda call: f".{consumer.stream.name}.{consumer.durable}." in call["self"].reply,
    )


def _published(stream: topology.Stream) -> Callable[[Arguments], bool]:
    return lambda call: call["stream"].name == stream.name


_STORED = "messaging.uploads:Uploads.put"
_PUBLISHED = "messaging.broker:Broker.publish"

INGEST = (
    _received("ingest", topology.INGEST_WORKERS, Work.DOCUMENT),
    Point(
        name="ingest.begun",
        service="ingest",
        work=Work.DOCUMENT,
        where="workers.ingest.ingestion:Ingestion.ingest",
        before=True,
        about=lambda call: call["request"].document_id,
    ),
    Point(name="ingest.text-stored", service="ingest", work=Work.DOCUMENT, where=_STORED),
    Point(name="ingest.planned", service="ingest", work=Work.DOCUMENT, where="messaging.ledger:DocumentLedger.plan"),
    Point(
        name="ingest.batch-published",
        service="ingest",
        work=Work.DOCUMENT,
        where=_PUBLISHED,
        only=_published(topology.EMBED),
    ),
    _unacknowledged("ingest", topology.INGEST_WORKERS, Work.DOCUMENT),
)
_DELETED_ROWS = "workers.indexing.lance:LanceIndex.delete_generation"
EMBED = (
    _received("embed", topology.EMBED_WORKERS, Work.DOCUMENT),
    Point(
        name="embed.begun",
        service="embed",
        work=Work.DOCUMENT,
        where="workers.embed.embedding:Embedding.embed",
        before=True,
        about=lambda call: " ".join(work.request.document_id for work in call["works"]),
    ),
    Point(
        name="embed.encoded",
        service="embed",
        work=Work.DOCUMENT,
        where="workers.embed.encoding_thread:EncodingThread.encode",
    ),
    Point(name="embed.written", service="embed", work=Work.DOCUMENT, where="workers.indexing.lance:LanceIndex.upsert"),
    Point(
        name="embed.counted", service="embed", work=Work.DOCUMENT, where="messaging.ledger:DocumentLedger.batch_done"
    ),
    Point(name="embed.flipped", service="embed", work=Work.DOCUMENT, where="messaging.ledger:DocumentLedger.ready"),
    Point(
        name="embed.told",
        service="embed",
        work=Work.REPLACEMENT,
        where="messaging.events:Events.document",
        only=lambda call: call["fact"] is DocumentFact.READY,
    ),
    _unacknowledged("embed", topology.EMBED_WORKERS, Work.DOCUMENT),
    _received("embed", topology.PURGE_WORKERS, Work.REPLACEMENT),
    Point(name="purge.deleted", service="embed", work=Work.REPLACEMENT, where=_DELETED_ROWS),
    _unacknowledged("embed", topology.PURGE_WORKERS, Work.REPLACEMENT),
)
RETRIEVE = (
    _received("retrieve", topology.QUERY_WORKERS, Work.QUESTION),
    Point(
        name="retrieve.found", service="retrieve", work=Work.QUESTION, where="workers.retrieve.searcher:Searcher.search"
    ),
    Point(
        name="retrieve.handed-over",
        service="retrieve",
        work=Work.QUESTION,
        where=_PUBLISHED,
        only=_published(topology.GENERATE),
    ),
    _unacknowledged("retrieve", topology.QUERY_WORKERS, Work.QUESTION),
)
_ENDED = "messaging.terminals:Terminals.end"
GENERATE = (
    _received("generate", topology.GENERATE_STABLE_WORKERS, Work.QUESTION),
    Point(
        name="generate.piece-sent",
        service="generate",
        work=Work.QUESTION,
        where="messaging.answers:AnswerPublisher.delta",
    ),
    Point(name="generate.ended", service="generate", work=Work.QUESTION, where=_ENDED),
    _unacknowledged("generate", topology.GENERATE_STABLE_WORKERS, Work.QUESTION),
)
KEEPER = (
    Point(name="keeper.due", service="keeper", work=Work.EXPIRY, where=_ENDED, before=True),
    Point(name="keeper.ended", service="keeper", work=Work.EXPIRY, where=_ENDED),
    _received("keeper", topology.KEEPER_ADVISORIES, Work.EXHAUSTION),
    Point(
        name="keeper.lettered",
        service="keeper",
        work=Work.EXHAUSTION,
        where="messaging.deadletters:DeadLetters.put",
    ),
    Point(name="keeper.removed", service="keeper", work=Work.EXHAUSTION, where="messaging.storage:Storage.remove"),
    _unacknowledged("keeper", topology.KEEPER_ADVISORIES, Work.EXHAUSTION),
)
GATEWAY = (
    Point(name="gateway.stored", service="gateway", work=Work.DOCUMENT, where=_STORED),
    Point(
        name="gateway.entered", service="gateway", work=Work.DOCUMENT, where="messaging.ledger:DocumentLedger.submit"
    ),
    Point(
        name="gateway.published",
        service="gateway",
        work=Work.DOCUMENT,
        where=_PUBLISHED,
        only=_published(topology.INGEST),
    ),
)

POINTS: tuple[Point, ...] = (*INGEST, *EMBED, *RETRIEVE, *GENERATE, *KEEPER, *GATEWAY)
BY_NAME: Mapping[str, Point] = {point.name: point for point in POINTS}


def points_of(service: str) -> tuple[Point, ...]:
    return tuple(point for point in POINTS if point.service == service)
