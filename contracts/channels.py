"""Which messages travel on which subjects, who sends and who receives them: the source of the AsyncAPI document."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.answers import Cancelled, Completed, Delta, Failed, Retrieved
from contracts.caching import CacheCleared
from contracts.census import CensusPage, CensusRequest
from contracts.channel import Channel
from contracts.condensing import CondenseReply, CondenseRequest
from contracts.control import ControlOrder, ControlReply
from contracts.deadletters import DeadLetter
from contracts.documents import EmbedRequest, IngestRequest, PurgeRequest
from contracts.encoding import EncodeReply, EncodeRequest
from contracts.endpoint_reports import EndpointOrder, EndpointReport, EndpointReportRequest
from contracts.events import DocumentEvent, QueryEvent
from contracts.health import Heartbeat
from contracts.metrics import MetricsSample
from contracts.observing import ObserverReplyPart, ObserverRequest
from contracts.operations_channels import OPERATIONS
from contracts.queries import GenerateRequest, QueryRequest
from contracts.reconciliation import ReconcileEvent

_TERMINALS = (Completed, Failed, Cancelled)

CHANNELS: tuple[Channel, ...] = (
    Channel(
        name="ingestRequests",
        address=subjects.INGEST_REQUESTS + ".{tenant}",
        messages=(IngestRequest,),
        senders=("gateway", "keeper"),
        receivers=("ingest",),
        stream=topology.INGEST,
        summary="Parse and chunk an uploaded document.",
    ),
    Channel(
        name="embedRequests",
        address=subjects.EMBED_REQUESTS + ".{tenant}",
        messages=(EmbedRequest,),
        senders=("ingest",),
        receivers=("embed",),
        stream=topology.EMBED,
        summary="Encode a batch of chunks and write it to the index.",
    ),
    Channel(
        name="embedPurges",
        address=subjects.EMBED_PURGES + ".{tenant}",
        messages=(PurgeRequest,),
        senders=("gateway", "embed", "keeper"),
        receivers=("embed",),
        stream=topology.EMBED,
        summary="Delete the rows of a generation that may no longer be found.",
    ),
    Channel(
        name="queryRequests",
        address=subjects.QUERY_REQUESTS + ".{tenant}",
        messages=(QueryRequest,),
        senders=("gateway", "client"),
        receivers=("retrieve",),
        stream=topology.QUERY,
        summary="Ask a question. Send the headers Waggle-Query-Id, Waggle-Budget-Ms and Nats-Msg-Id, no Nats-Expected-Stream.",
    ),
    Channel(
        name="generateRequests",
        address=subjects.GENERATE_REQUESTS + ".{track}.{tenant}",
        messages=(GenerateRequest,),
        senders=("retrieve",),
        receivers=("generate",),
        stream=topology.GENERATE,
        summary="Answer a question from the passages found.",
    ),
    Channel(
        name="answers",
        address=subjects.ANSWERS + ".{tenant}.{query_id}",
        messages=(Retrieved, Delta),
        senders=("retrieve", "generate"),
        receivers=("gateway", "client"),
        stream=topology.ANSWERS,
        summary="What was found, then the answer piece by piece.",
    ),
    Channel(
        name="terminals",
        address=subjects.TERMINALS + ".{tenant}.{query_id}",
        messages=_TERMINALS,
        senders=("retrieve", "generate", "keeper", "gateway"),
        receivers=("retrieve", "generate", "keeper"),
        stream=topology.TERMINALS,
        summary="The arbiter: the broker stores the first message of a query and refuses all others (error 10077).",
    ),
    Channel(
        name="answerEnds",
        address=subjects.ANSWERS + ".{tenant}.{query_id}.end",
        messages=_TERMINALS,
        senders=("broker",),
        receivers=("gateway", "client"),
        stream=topology.ANSWERS,
        summary="The stored terminal, republished by the broker: the only end that readers see, exactly one per query.",
    ),
    Channel(
        name="documentEvents",
        address=subjects.EVENTS + ".document.{fact}.{tenant}",
        messages=(DocumentEvent,),
        senders=("gateway", "ingest", "embed", "keeper"),
        receivers=("gateway", "observer", "client"),
        stream=topology.EVENTS,
        summary="What became true of a document.",
    ),
    Channel(
        name="queryEvents",
        address=subjects.EVENTS + ".query.{fact}.{tenant}",
        messages=(QueryEvent,),
        senders=("retrieve", "generate", "keeper", "broker"),
        receivers=("keeper", "observer", "client"),
        stream=topology.EVENTS,
        summary="What became true of a query. `accepted` is republished by the broker with headers and no body.",
    ),
    Channel(
        name="reconcileEvents",
        address=subjects.EVENTS + ".reconcile.{remedy}.{tenant}",
        messages=(ReconcileEvent,),
        senders=("keeper",),
        receivers=("observer", "client"),
        stream=topology.EVENTS,
        summary="What was found amiss between queues, ledger, index and uploads, and what was done about it.",
    ),
    Channel(
        name="deadLetters",
        address=subjects.DEAD_LETTERS + ".{stream}.{message_id}",
        messages=(DeadLetter,),
        senders=("ingest", "embed", "retrieve", "generate", "keeper"),
        receivers=("client",),
        stream=topology.DLQ,
        summary="A message that was given up, whole, with the reason.",
    ),
    *OPERATIONS,
    Channel(
        name="indexCensus",
        address=subjects.CENSUS,
        messages=(CensusRequest, CensusPage),
        senders=("keeper",),
        receivers=("embed",),
        summary="What the index holds. The request is answered with pages to its reply subject, the last one marked.",
    ),
    Channel(
        name="condense",
        address=subjects.CONDENSE,
        messages=(CondenseRequest, CondenseReply),
        senders=("retrieve",),
        receivers=("generate",),
        summary="Put a question of a conversation in full. Answered to its reply subject by a worker that has a model.",
    ),
    Channel(
        name="encode",
        address=subjects.ENCODE,
        messages=(EncodeRequest, EncodeReply),
        senders=("gateway",),
        receivers=("retrieve",),
        summary="The vectors of texts. Answered to its reply subject by one worker, with those of the first texts, as many as fit "
        "into a message and into its time, or with why there are none.",
    ),
    Channel(
        name="cacheCleared",
        address=subjects.CACHE_CONTROL,
        messages=(CacheCleared,),
        senders=("embed", "retrieve", "operator"),
        receivers=("embed", "retrieve"),
        summary="A cache was cleared: every process that keeps a part of it in memory forgets that part.",
    ),
    Channel(
        name="endpointOrders",
        address=subjects.ENDPOINT_ORDERS,
        messages=(EndpointOrder, EndpointReport),
        senders=("client",),
        receivers=("generate",),
        summary="An endpoint is drained or used again, as the bucket `config` holds it. Every worker that has endpoints does "
        "so and answers to the reply subject with its report.",
    ),
    Channel(
        name="endpointReports",
        address=subjects.ENDPOINT_REPORTS,
        messages=(EndpointReportRequest, EndpointReport),
        senders=("client",),
        receivers=("generate",),
        summary="How the endpoints do. Every worker that has any answers to the reply subject.",
    ),
    Channel(
        name="control",
        address=subjects.CONTROL + ".{service}.{instance}",
        messages=(ControlOrder, ControlReply),
        senders=("client", "operator"),
        receivers=("ingest", "embed", "retrieve", "generate", "keeper", "observer", "operator"),
        summary="An order to one process: pause, resume, drain, dump stacks, clear its cache, reload. Answered to the reply "
        "subject, a drain when nothing is in hand any more.",
    ),
    Channel(
        name="observerRequests",
        address=subjects.OBSERVER_REQUESTS + ".{kind}",
        messages=(ObserverRequest, ObserverReplyPart),
        senders=("gateway", "client"),
        receivers=("observer",),
        summary="Series, alerts, rules and figures. The observer that leads answers to the reply subject with parts, the last "
        "one marked.",
    ),
    Channel(
        name="withdrawals",
        address=subjects.WITHDRAWALS + ".{tenant}.{query_id}",
        messages=(),
        senders=("client",),
        receivers=("keeper",),
        summary="Withdraw a query that was asked and has not ended: its end is `Cancelled` then. No body, and no stream keeps it: repeat it "
        "until the end comes.",
    ),
    Channel(
        name="cancel",
        address=subjects.CANCEL + ".{tenant}.{query_id}",
        messages=(),
        senders=("gateway", "keeper"),
        receivers=("retrieve", "generate"),
        summary="Stop working on a query whose `Cancelled` terminal is published. No body.",
    ),
    Channel(
        name="resume",
        address=subjects.RESUME + ".{tenant}.{query_id}",
        messages=(),
        senders=("gateway",),
        receivers=("gateway",),
        summary="Somebody reads this answer again: the gateway that lost its reader does not cancel the query. No body.",
    ),
    Channel(
        name="health",
        address=subjects.HEALTH + ".{service}.{instance}",
        messages=(Heartbeat,),
        senders=("gateway", "ingest", "embed", "retrieve", "generate", "keeper", "observer"),
        receivers=("gateway", "observer"),
        summary="Every process, every three seconds.",
    ),
    Channel(
        name="metrics",
        address=subjects.METRICS + ".{service}.{instance}",
        messages=(MetricsSample,),
        senders=("gateway", "ingest", "embed", "retrieve", "generate", "keeper", "observer"),
        receivers=("observer", "client"),
        summary="What every process measures of itself and of its host, every ten seconds; `WAGGLE_TELEMETRY=off` ends it.",
    ),
)

__all__ = ["CHANNELS", "Channel"]
