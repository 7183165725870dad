"""Documents that end as dead letters."""

from __future__ import annotations

from typing import Any

from contracts import topology
from contracts.documents import Failure, IngestRequest
from contracts.errors import ErrorCode, PermanentError
from messaging.app import WorkerApp
from messaging.delivery import Delivery
from messaging.ledger import DocumentLedger
from tests.support.gateways import TEXT, Gateway
from tests.support.waiting import until


class FailingIngest:
    """An ingest worker that refuses every document until it is mended."""

    def __init__(self, worker: WorkerApp) -> None:
        self.mended = False
        self.seen: list[IngestRequest] = []
        ledger: list[DocumentLedger] = []

        @worker.on_startup
        async def start() -> None:
            ledger.append(DocumentLedger(worker.broker))

        async def give_up(request: IngestRequest, error: PermanentError) -> None:
            failure = Failure(code=error.code, message=str(error))
            await ledger[0].fail(request.tenant, request.document_id, request.generation, failure)

        @worker.consumes(topology.INGEST_WORKERS, IngestRequest, on_dead_letter=give_up)
        async def on_request(request: IngestRequest, _: Delivery) -> None:
            self.seen.append(request)
            if not self.mended:
                raise PermanentError("the parser is broken", code=ErrorCode.PARSER_CRASHED) from OSError("no parser")


async def letters(gateway: Gateway, **filters: Any) -> list[dict[str, Any]]:
    response = await gateway.http.get("/v1/dlq", params=filters)
    assert response.status_code == 200, response.text
    items: list[dict[str, Any]] = response.json()["items"]
    return items


async def fail(gateway: Gateway, document_id: str, text: str = TEXT) -> dict[str, Any]:
    """Submit a document and return the letter that becomes of it."""
    body = {"name": "bees.txt", "text": text, "document_id": document_id}
    before = {letter["id"] for letter in await letters(gateway)}
    assert (await gateway.http.post("/v1/documents", json=body)).status_code == 202

    async def fresh() -> list[dict[str, Any]]:
        return [letter for letter in await letters(gateway, document_id=document_id) if letter["id"] not in before]

    await until(fresh)
    return (await fresh())[0]
