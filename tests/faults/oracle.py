"""Compares what was promised with what is there: ledger, index, queues and ends of queries.

It reads the broker's streams and the index's files directly, never through the processes under test.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path

from contracts import subjects, topology
from contracts.documents import DocumentRecord, GenerationState
from contracts.identifiers import DEFAULT_TENANT
from messaging.broker import Broker
from messaging.deadlines import budget_s
from messaging.ledger import DocumentLedger
from messaging.storage import Storage, Stored
from tests.faults.books import Books
from tests.faults.index_rows import IndexRows, read_rows
from tests.faults.verdict import MAX_EVIDENCE, Verdict

END_MARGIN = timedelta(seconds=1)
POLL_S = 0.2
QUEUES = (topology.INGEST, topology.EMBED, topology.QUERY, topology.GENERATE)
_PENDING = (GenerationState.SUBMITTED, GenerationState.PLANNED)
_ACCEPTED = "rag.events.query.accepted.*"
_ENDS = f"{subjects.ANSWERS}.*.*.end"


class Oracle:
    """Examines one stack, as often as wanted; every document is looked at each time, every query once."""

    def __init__(self, broker: Broker, books: Books, index: Path) -> None:
        self._broker = broker
        self._books = books
        self._index = index
        self._storage = Storage(broker)
        self._ledger = DocumentLedger(broker)
        self._asked: dict[str, datetime | None] = {}
        self._seen_questions: set[str] = set()
        self._ends: Counter[str] = Counter()
        self._accepted_after = 0
        self._ends_after = 0

    async def examine(self, *, settle_s: float) -> Verdict:
        """Wait until all is at rest, at most `settle_s`, then judge."""
        await self.settled(settle_s)
        verdict = Verdict()
        await self._judge_queues(verdict)
        await self._judge_queries(verdict)
        records, rows = await self._records(), await read_rows(self._index)
        self._judge_documents(verdict, records)
        self._judge_rows(verdict, records, rows)
        return verdict

    async def settled(self, timeout_s: float) -> bool:
        """Whether all queues are empty, all documents and queries ended, within the time."""
        deadline = time.monotonic() + timeout_s
        while not await self._at_rest():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(POLL_S)
        return True

    async def _at_rest(self) -> bool:
        if any([await self._waiting(queue) for queue in QUEUES]):
            return False
        records = await self._records()
        if any(record.latest.state in _PENDING and not record.deleted for record in records.values()):
            return False
        if not all(i in records for i in self._books.promises):
            return False
        await self._read_accepted()
        return not await self._endless(self._asked)

    async def _waiting(self, queue: topology.Stream) -> int:
        return int((await self._broker.js.stream_info(queue.name)).state.messages)

    async def _records(self) -> dict[str, DocumentRecord]:
        return await self._ledger.get_many(DEFAULT_TENANT, sorted(self._books.documents))

    async def _judge_queues(self, verdict: Verdict) -> None:
        for queue in QUEUES:
            if left := await self._waiting(queue):
                verdict.note("stuck", f"{left} messages in {queue.name}", left)

    def _judge_documents(self, verdict: Verdict, records: dict[str, DocumentRecord]) -> None:
        verdict.accepted = self._books.submissions
        for document_id in sorted(self._books.documents):
            record = records.get(document_id)
            if reason := self._loss(document_id, record):
                verdict.note("lost", f"{document_id} {reason}")
            elif record is not None and record.deleted:
                verdict.deleted += 1
            elif record is not None:
                verdict.ready += record.latest.state is GenerationState.READY
                self._judge_failure(verdict, document_id, record)
        verdict.superseded = max(0, verdict.accepted - len(self._books.promises))

    @staticmethod
    def _judge_failure(verdict: Verdict, document_id: str, record: DocumentRecord) -> None:
        if record.latest.state is not GenerationState.FAILED:
            return
        verdict.failed += 1
        if (failure := record.latest.failure) and len(verdict.failures) < MAX_EVIDENCE:
            verdict.failures.append(f"{document_id} {failure.code}: {failure.message}")

    def _loss(self, document_id: str, record: DocumentRecord | None) -> str | None:
        """Why a document counts as lost, if it does."""
        certain = document_id not in self._books.uncertain
        if record is None:
            return "has no record" if self._books.latest(document_id) else None
        if certain and record.deleted != (document_id in self._books.deleted):
            return "is deleted, which nobody asked for" if record.deleted else "is back after its deletion"
        return None if record.deleted else self._bad_end(document_id, record)

    def _bad_end(self, document_id: str, record: DocumentRecord) -> str | None:
        latest = record.latest
        match latest.state:
            case GenerationState.FAILED:
                return None if latest.failure and latest.failure.message else "failed without a reason"
            case GenerationState.READY if record.visible_generation != latest.generation:
                return "is ready, but searches see another generation"
            case GenerationState.READY:
                return self._older(document_id, latest.version, latest.sha256)
            case _:
                return f"is still {latest.state}"

    def _older(self, document_id: str, version: int, sha256: str) -> str | None:
        promised = self._books.latest(document_id)
        if promised is None or (version > promised.version and document_id in self._books.uncertain):
            return None
        if version < promised.version:
            return f"ended as version {version}, {promised.version} was accepted"
        return None if sha256 == promised.sha256 else "holds another content than was accepted last"

    def _judge_rows(self, verdict: Verdict, records: dict[str, DocumentRecord], rows: IndexRows) -> None:
        if rows.repeated_ids:
            verdict.note("doubled", f"{rows.repeated_ids} rows with the id of another", rows.repeated_ids)
        for (document_id, generation), count in rows.per_generation.items():
            record = records.get(document_id)
            if record is None or record.searchable_generation != generation:
                verdict.note("ghosts", f"{count} rows of {document_id}, generation {generation}", count)
        for document_id, record in records.items():
            visible = record.generation(record.searchable_generation or "")
            if visible is None or visible.plan is None:
                continue
            found, planned = rows.per_generation[document_id, visible.generation], visible.plan.chunks
            if found > planned:
                verdict.note("doubled", f"{document_id} has {found} rows of {planned} chunks", found - planned)
            elif found < planned:
                verdict.note("lost", f"{document_id} has {found} rows of {planned} chunks")

    async def _judge_queries(self, verdict: Verdict) -> None:
        await self._read_accepted()
        await self._read_ends()
        terminals = await self._terminals(self._asked)
        verdict.queries, verdict.terminals = len(self._asked), len(terminals)
        for query_id, deadline in self._asked.items():
            ended = terminals.get(query_id)
            if ended is None:
                verdict.note("terminal_missing", f"query {query_id}")
            elif deadline is not None and ended.stored_at > deadline + END_MARGIN:
                verdict.terminal_late += 1
            if self._ends[query_id] > 1:
                extra = self._ends[query_id] - 1
                verdict.note("terminal_doubled", f"query {query_id} has {extra} more", extra)
        self._seen_questions |= set(self._asked)
        self._asked.clear()

    async def _endless(self, asked: Iterable[str]) -> set[str]:
        wanted = set(asked)
        return wanted - set(await self._terminals(wanted))

    async def _terminals(self, asked: Iterable[str]) -> dict[str, Stored]:
        wanted = [subjects.terminal(DEFAULT_TENANT, query_id) for query_id in asked]
        stored = await self._storage.latest(topology.TERMINALS.name, wanted)
        return {message.subject.rsplit(".", 1)[-1]: message for message in stored}

    async def _read_accepted(self) -> None:
        """What the broker itself says was accepted, and what the harness put into a queue past the gateway."""
        while batch := await self._storage.following(topology.EVENTS.name, _ACCEPTED, after=self._accepted_after):
            for stored in batch:
                if query_id := stored.headers.get(subjects.HEADER_QUERY_ID):  # our clients always name it
                    self._asked[query_id] = stored.stored_at + timedelta(seconds=budget_s(stored.headers))
            self._accepted_after = batch[-1].sequence
        for query_id in self._books.questions - self._seen_questions:
            self._asked.setdefault(query_id, None)

    async def _read_ends(self) -> None:
        while batch := await self._storage.following(topology.ANSWERS.name, _ENDS, after=self._ends_after):
            self._ends.update(stored.subject.split(".")[-2] for stored in batch)
            self._ends_after = batch[-1].sequence
