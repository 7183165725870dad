"""Submits files and waits until each has ended."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cli.client import GatewayClient, GatewayError
from cli.replies import Document, Failure, Uploaded
from cli.uploading.files import Source
from cli.uploading.patience import PATIENCE_S, patiently

TOO_MANY = 429
UPLOADS_AT_ONCE = 4
POLL_S = 0.5
LOOKS_AT_ONCE = 8
PAGE = 200
UNFINISHED = ("submitted", "processing")
ENDED = frozenset({"ready", "failed", "deleted"})


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a file. `state` is ready, failed, deleted, refused, or how far it had come when waiting ended."""

    source: Source
    document_id: str
    state: str
    version: int = 0
    chunks: int | None = None
    unchanged: bool = False
    failure: Failure | None = None

    @property
    def good(self) -> bool:
        return self.state == "ready" or (self.state not in {"failed", "deleted", "refused"} and self.failure is None)


@dataclass
class Submission:
    """Uploads `sources` a few at a time and follows each until it has ended.

    `on_end` hears of every file once. What has not ended after `deadline_s` is reported as it stands: what the gateway
    has accepted it goes on with.
    """

    client: GatewayClient
    sources: Sequence[Source]
    on_end: Callable[[Outcome], None]
    metadata: Mapping[str, str] | None = None
    wait: bool = True
    deadline_s: float = 3600.0
    patience_s: float = PATIENCE_S
    outcomes: list[Outcome] = field(default_factory=list)
    _under_way: deque[tuple[Source, Uploaded]] = field(default_factory=deque)

    async def run(self) -> list[Outcome]:
        """Raises `UnreachableError` when the gateway stays away."""
        try:
            async with asyncio.timeout(self.deadline_s), asyncio.TaskGroup() as tasks:
                uploads = tasks.create_task(self._upload_all())
                if self.wait:
                    tasks.create_task(self._follow_all(uploads))
        except TimeoutError:
            self._report_unfinished()
        except ExceptionGroup as group:
            raise _first(group) from group
        return self.outcomes

    async def _upload_all(self) -> None:
        queue = iter(self.sources)

        async def upload_next() -> None:
            for source in queue:
                await self._upload(source)

        async with asyncio.TaskGroup() as tasks:
            for _ in range(UPLOADS_AT_ONCE):
                tasks.create_task(upload_next())

    async def _upload(self, source: Source) -> None:
        try:
            accepted = await self._submit(source)
        except GatewayError as error:
            self._refused(source, str(error), code=error.problem.code)
        except OSError as error:
            self._refused(source, f"cannot be read: {error.strerror}", code="unreadable_file")
        else:
            self._accepted(source, accepted)

    def _accepted(self, source: Source, accepted: Uploaded) -> None:
        if accepted.problem is not None:
            self._refused(source, accepted.problem.detail, code=accepted.problem.code)
        elif not self.wait:
            self._end(Outcome(source=source, document_id=accepted.document_id, state=accepted.state))
        else:
            self._under_way.append((source, accepted))

    async def _submit(self, source: Source) -> Uploaded:
        """Once more after a break is safe: the id is the same, and the same content is not redone.

        A gateway that is there but has too much waiting is asked for as long as the whole submission may take.
        """
        while True:
            try:
                return await patiently(lambda: source.send(self.client, self.metadata), patience_s=self.patience_s)
            except GatewayError as error:
                if error.problem.status != TOO_MANY:
                    raise

    async def _follow_all(self, uploads: asyncio.Task[None]) -> None:
        """One list a round tells who is still on the way; only the others are looked at one by one."""
        while self._under_way or not uploads.done():
            unfinished = await patiently(self._unfinished, patience_s=self.patience_s) if self._under_way else set()
            ended = deque(each for each in self._under_way if each[1].document_id not in unfinished)
            self._under_way = deque(each for each in self._under_way if each[1].document_id in unfinished)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(LOOKS_AT_ONCE, len(ended))):
                    tasks.create_task(self._look_at(ended))
            await asyncio.sleep(POLL_S)

    async def _unfinished(self) -> set[str]:
        """The ids of all documents that have not ended."""
        ids: set[str] = set()
        cursor: str | None = None
        while True:
            page = await self.client.documents(states=UNFINISHED, limit=PAGE, cursor=cursor)
            ids |= {document.document_id for document in page.items}
            cursor = page.next
            if cursor is None:
                return ids

    async def _look_at(self, queue: deque[tuple[Source, Uploaded]]) -> None:
        while queue:
            await self._look(*queue.popleft())

    async def _look(self, source: Source, accepted: Uploaded) -> None:
        document = await self._document(accepted.document_id)
        if document is not None and document.version >= accepted.version and document.state in ENDED:
            self._end(_outcome(source, document, unchanged=accepted.unchanged))
        else:
            self._under_way.append((source, accepted))

    async def _document(self, document_id: str) -> Document | None:
        """None while the gateway does not list it yet."""
        try:
            return await patiently(lambda: self.client.document(document_id), patience_s=self.patience_s)
        except GatewayError as error:
            if error.problem.status == 404:
                return None
            raise

    def _refused(self, source: Source, message: str, *, code: str) -> None:
        failure = Failure(code=code, message=message)
        self._end(Outcome(source=source, document_id=source.document_id, state="refused", failure=failure))

    def _report_unfinished(self) -> None:
        ended = {outcome.document_id for outcome in self.outcomes}
        submitted = {source.document_id for source, _ in self._under_way}
        for source in self.sources:
            if source.document_id not in ended:
                state = "processing" if source.document_id in submitted else "not submitted"
                failure = Failure(code="not_ended", message=f"not ended within {self.deadline_s:.0f} s")
                self._end(Outcome(source=source, document_id=source.document_id, state=state, failure=failure))

    def _end(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.on_end(outcome)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    """The error that ended the tasks; the others are the same gateway being away."""
    error = group.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error


def _outcome(source: Source, document: Document, *, unchanged: bool) -> Outcome:
    return Outcome(
        source=source,
        document_id=document.document_id,
        state=document.state,
        version=document.version,
        chunks=document.chunks,
        unchanged=unchanged,
        failure=document.failure,
    )
