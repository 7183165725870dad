"""The keeper: deadlines, messages that ran out of deliveries, what does not fit together, and furniture that was lost."""

from __future__ import annotations

from contracts import subjects
from contracts.topology import (
    ADVISORIES,
    BATCHES,
    CONSUMERS,
    DLQ,
    EVENTS,
    KEEPER_ADVISORIES,
    QUERY,
    STREAMS,
    Retention,
)
from deploy.nats.grants import PLACES, asks, consumes, hears, publishes, reads, removes, stream_of, worker
from deploy.nats.user import User
from deploy.nats.users.shared import (
    DOCUMENT_FACTS,
    ENDS,
    LEDGER_WRITTEN,
    ORIGINALS,
    PURGE_REQUESTS,
    QUERY_FACTS,
    leading,
)

_QUEUES = tuple(stream for stream in STREAMS if stream.retention is Retention.WORK_QUEUE)

KEEPER = User(
    name="keeper",
    why="Ends what would wait for ever. The only one that makes streams and consumers anew where they were lost.",
    grants=(
        *worker("keeper"),
        *consumes(KEEPER_ADVISORIES, why=f"Messages that ran out of deliveries, told in {ADVISORIES.name}."),
        reads(*_QUEUES, why="Messages that nobody will be given any more."),
        removes(*_QUEUES, why="Those that became dead letters, or were put into the queue anew."),
        publishes(
            *(subject for queue in _QUEUES for subject in queue.subjects), why="Work that is put into its queue anew."
        ),
        publishes(*(subjects.dead_letter(queue.name, "*") for queue in _QUEUES), why="Dead letters of those."),
        reads(EVENTS, why="Questions that were asked, and how far documents are."),
        hears(f"{subjects.EVENTS}.query.accepted.*", why=f"Questions, as {QUERY.name} takes them."),
        *ENDS,
        hears(subjects.withdrawal("*", "*"), why="Who does not want an answer any more."),
        publishes(subjects.cancel("*", "*"), why="Word of that to the workers."),
        QUERY_FACTS,
        *LEDGER_WRITTEN,
        *ORIGINALS,
        reads(BATCHES, why="How far a document is."),
        DOCUMENT_FACTS,
        PURGE_REQUESTS,
        publishes(f"{subjects.EVENTS}.reconcile.*.*", why="What did not fit together, and what was done."),
        publishes(subjects.CENSUS, why="What the index holds is asked for."),
        reads(DLQ, why="Dead letters that hold text of deleted documents."),
        removes(DLQ, why="Dead letters that hold text of deleted documents."),
        *leading("*"),
        asks(
            *(f"STREAM.INFO.{stream_of(place)}" for place in PLACES),
            *(f"CONSUMER.INFO.{each.stream.name}.{each.durable}" for each in CONSUMERS),
            why="Whether streams and consumers are there.",
        ),
        asks(
            *(f"STREAM.CREATE.{stream_of(place)}" for place in PLACES),
            *(f"CONSUMER.CREATE.{each.stream.name}.{each.durable}.>" for each in CONSUMERS),
            why="Those that were lost, so that a broker that lost its disk needs nobody. It changes and deletes no stream.",
        ),
        asks(
            *(f"CONSUMER.DELETE.{each.stream.name}.{each.durable}" for each in CONSUMERS),
            why="A consumer that remembers more than its stream, as after a power cut.",
        ),
    ),
)
