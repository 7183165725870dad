"""Wires the ingest queue to the ingestion of documents."""

from __future__ import annotations

from contracts import topology
from contracts.documents import IngestRequest
from contracts.errors import PermanentError
from contracts.health import BackendCheck, CheckStatus
from contracts.settings import IngestSettings
from messaging.app import WorkerApp
from messaging.breaker import Probing
from messaging.delivery import Delivery
from messaging.events import Events
from messaging.ledger import DocumentLedger
from messaging.submissions import Submissions
from messaging.uploads import Uploads
from workers.ingest.confinement import Limits
from workers.ingest.cutting import Cutting
from workers.ingest.ingestion import Archive, Ingestion
from workers.ingest.sandbox import Sandbox
from workers.ingest.tokenization import tokenizer_file

_MiB = 1024 * 1024
_MAX_RESULT_BYTES = 512 * _MiB
STORE_PROBING = Probing(max_pause_s=1.0)
"""The object store is a part of the broker; a look costs it two small requests."""


def build(settings: IngestSettings, *, table: topology.Topology | None = None) -> WorkerApp:
    """The ingest worker. `table` is the topology where it is not the usual one."""
    app = WorkerApp(settings, service="ingest", table=table)
    register(app, Parts(app, settings), concurrency=settings.ingest_concurrency)
    return app


def register(app: WorkerApp, parts: Parts, *, concurrency: int) -> None:
    """Read, plan and batch documents; end those that cannot be read `failed`, with the reason."""
    app.on_startup(parts.start)
    app.on_shutdown(parts.stop)
    app.check("parser", parts.look)

    async def give_up(request: IngestRequest, error: PermanentError) -> None:
        await parts.ingestion.fail(request, error)

    # No time limit: a handler waits as long as the embed queue is full. What a file may cost is the sandbox's matter.
    @app.consumes(
        topology.INGEST_WORKERS, IngestRequest, concurrency=concurrency, on_dead_letter=give_up, time_limit_s=None
    )
    async def on_request(request: IngestRequest, _: Delivery) -> None:
        await parts.ingestion.ingest(request)


class Parts:
    """What the worker is made of; put together once the broker is there."""

    def __init__(self, app: WorkerApp, settings: IngestSettings) -> None:
        self._app = app
        self._cutting = Cutting(chunk_tokens=settings.chunk_tokens, overlap_tokens=settings.chunk_overlap_tokens)
        self._settings = settings
        self._sandbox: Sandbox | None = None
        self._archive: Archive | None = None
        self._breaker = app.breaker("uploads", lambda: Uploads(app.broker).look(), probing=STORE_PROBING)
        app.probe(self._breaker, self._probe_uploads)
        self._ingestion: Ingestion | None = None

    @property
    def ingestion(self) -> Ingestion:
        """Raises `RuntimeError` before `start`."""
        if self._ingestion is None:
            raise RuntimeError("the ingest worker has not been started")
        return self._ingestion

    async def start(self) -> None:
        settings = self._settings
        tokenizer = tokenizer_file(settings.encoder_model, settings.encoder_tokenizer)
        sandbox = self._sandbox = Sandbox(tokenizer=tokenizer, limits=_limits(settings))
        broker = self._app.broker
        ledger, uploads = DocumentLedger(broker), Uploads(broker)
        submissions = Submissions(broker, ledger, uploads)
        self._archive = Archive(
            ledger=ledger, uploads=uploads, submissions=submissions, events=Events(broker), breaker=self._breaker
        )
        self._ingestion = Ingestion(broker, self._archive, sandbox, cutting=self._cutting, get_on=self._app.get_on)
        await sandbox.start()

    async def stop(self) -> None:
        if self._sandbox is not None:
            await self._sandbox.close()
        if self._archive is not None:
            await self._archive.submissions.close()
            await self._archive.uploads.close()

    async def _probe_uploads(self) -> None:
        if self._archive is not None:
            await self._archive.uploads.probe()

    async def look(self) -> BackendCheck:
        """Whether the parser process is there; one that is lost is started again with the next document."""
        alive = self._sandbox is not None and self._sandbox.is_running
        return BackendCheck(name="parser", status=CheckStatus.OK if alive else CheckStatus.DEGRADED)


def _limits(settings: IngestSettings) -> Limits:
    return Limits(
        memory_bytes=settings.parser_memory_mb * _MiB,
        cpu_s=settings.parser_cpu_s,
        wall_s=settings.parser_timeout_s,
        output_bytes=_MAX_RESULT_BYTES,
    )
