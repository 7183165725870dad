"""What people do with dead letters: read them, send them back to work, throw them away."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.documents import EmbedRequest, IngestRequest
from contracts.errors import InvalidMessageError, NewerSchemaError, PermanentError
from contracts.identifiers import TOKEN, derived_id
from contracts.queries import GenerateRequest, QueryRequest
from messaging.broker import Broker
from messaging.deadletters import HEADER_TRUNCATED, published_at
from messaging.deadlines import budget_s
from messaging.ledger import SupersededError
from messaging.storage import Storage, Stored
from messaging.stored import without_orders
from messaging.submissions import Submissions
from messaging.terminals import Terminals
from messaging.uploads import UploadMissingError
from messaging.work import work_in

SCANNED_AT_ONCE = 8
"""Letters read from the broker in one go; each may be as large as a message."""

_ID = re.compile(r"[A-Z][A-Z0-9_-]{0,63}\.[A-Za-z0-9_-]{1,128}")


class LetterNotFoundError(PermanentError):
    """There is no such dead letter: it was replayed, dropped, or has aged out."""


class ReplayRefusedError(PermanentError):
    """Sending this letter back could do no good; it stays where it is. The message says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """A letter as the stream holds it, in a list without its payload. `id` names it to people; `position` is for reading
    on; `size_bytes` is the payload's. `document_id` and `query_id` are what it was about, as far as it says.
    """

    id: str
    position: int
    letter: DeadLetter
    size_bytes: int
    document_id: str | None = None
    query_id: str | None = None

    @property
    def cut_from_bytes(self) -> int | None:
        """How large the message was, if only its beginning was kept."""
        size = self.letter.headers.get(HEADER_TRUNCATED, "")
        return int(size) if size.isdecimal() else None


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which letters are meant; all given conditions hold."""

    stream: str | None = None
    code: str | None = None
    document_id: str | None = None
    query_id: str | None = None

    def matches(self, kept: Kept) -> bool:
        mine = (kept.letter.stream, kept.letter.code, kept.document_id, kept.query_id)
        asked = (self.stream, self.code, self.document_id, self.query_id)
        return all(want is None or want == have for want, have in zip(asked, mine, strict=True))


@dataclass(frozen=True, kw_only=True)
class Page:
    """Letters without their payloads, oldest first; `next` is the position to read on after, None at the end."""

    items: tuple[Kept, ...]
    next: int | None


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """A letter that was not sent back, and why."""

    id: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Replayed:
    """What a replay of several letters came to."""

    ids: tuple[str, ...] = ()
    refused: tuple[Refusal, ...] = field(default=())
    next: int | None = None


class Letterbox:
    """The dead letters of one broker. A tenant sees only its own; all reads raise `BrokerUnavailableError`."""

    def __init__(self, broker: Broker, storage: Storage, submissions: Submissions, terminals: Terminals) -> None:
        self._broker = broker
        self._storage = storage
        self._submissions = submissions
        self._terminals = terminals

    async def page(self, tenant: str, wanted: Wanted, *, limit: int, after: int = 0) -> Page:
        """Up to `limit` letters after a position."""
        found: list[Kept] = []
        while True:
            batch = await self._storage.following(
                topology.DLQ.name, subjects.dead_letter(wanted.stream or "*", "*"), after=after, limit=SCANNED_AT_ONCE
            )
            for stored in batch:
                after = stored.sequence
                kept = _without_payload(_kept(stored))
                if kept is None or kept.letter.tenant != tenant or not wanted.matches(kept):
                    continue
                found.append(kept)
                if len(found) == limit:
                    return Page(items=tuple(found), next=after if stored.pending else None)
            if len(batch) < SCANNED_AT_ONCE:
                return Page(items=tuple(found), next=None)

    async def get(self, tenant: str, letter_id: str) -> Kept:
        """Raises `LetterNotFoundError`, also for a letter of another tenant."""
        stored = None
        if _ID.fullmatch(letter_id):
            stored = await self._storage.last(topology.DLQ.name, subjects.dead_letter(*letter_id.split(".")))
        kept = _kept(stored) if stored else None
        if kept is None or kept.letter.tenant != tenant:
            raise LetterNotFoundError(
                f"There is no dead letter {letter_id}: it was replayed or dropped, or is too old. `/v1/dlq` lists them."
            )
        return kept

    async def replay(self, tenant: str, letter_id: str) -> None:
        """Send a message back to where it came from, under a new id, and remove its letter.

        A document's failed submission is run again as a new generation, which clears its failure. Repeating a replay
        that was cut off changes nothing twice. Raises `LetterNotFoundError`, `ReplayRefusedError`, and what
        `Broker.publish` raises: then the letter is still there.
        """
        kept = await self.get(tenant, letter_id)
        if kept.cut_from_bytes is not None:
            raise ReplayRefusedError(
                f"Only the beginning of this message was kept, it had {kept.cut_from_bytes} bytes: have its sender repeat it."
            )
        await self._send_back(kept)
        await self._remove(kept)

    async def replay_all(self, tenant: str, wanted: Wanted, *, limit: int, after: int = 0) -> Replayed:
        """Replay up to `limit` letters after a position, one by one; those that cannot be are told and stay."""
        page = await self.page(tenant, wanted, limit=limit, after=after)
        ids, refused = list[str](), list[Refusal]()
        for kept in page.items:
            try:
                await self.replay(tenant, kept.id)
            except ReplayRefusedError as error:
                refused.append(Refusal(id=kept.id, reason=str(error)))
            except LetterNotFoundError:  # somebody else was faster
                continue
            else:
                ids.append(kept.id)
        return Replayed(ids=tuple(ids), refused=tuple(refused), next=page.next)

    async def drop(self, tenant: str, letter_id: str) -> None:
        """Throw a letter away. Raises `LetterNotFoundError`."""
        await self._remove(await self.get(tenant, letter_id))

    async def _remove(self, kept: Kept) -> None:
        subject = subjects.dead_letter(kept.letter.stream, kept.letter.message_id)
        await self._storage.purge(topology.DLQ.name, subject, up_to=kept.position)

    async def _send_back(self, kept: Kept) -> None:
        work = work_in(kept.letter.subject, bytes(kept.letter.payload))
        if isinstance(work, IngestRequest | EmbedRequest):
            await self._run_again(work)
            return
        if isinstance(work, QueryRequest | GenerateRequest):
            await self._require_open(work, kept)
        await self._publish(kept)

    async def _run_again(self, work: IngestRequest | EmbedRequest) -> None:
        """Whatever step failed, the whole submission is run again: the rest of its batches was dropped when it failed.

        Once, however many letters it has left: the id of the new generation follows from the failed one.
        """
        fresh = derived_id("replay", work.tenant, work.document_id, work.generation)
        try:
            await self._submissions.resubmit(work.tenant, work.document_id, work.generation, fresh=fresh)
        except SupersededError as error:
            raise ReplayRefusedError(
                f"The document {work.document_id} was submitted again, deleted, or has become ready since: "
                "there is nothing to replay, drop the letter."
            ) from error
        except UploadMissingError as error:
            raise ReplayRefusedError(
                f"The content of document {work.document_id} is not stored any more: submit it again."
            ) from error

    async def _require_open(self, work: QueryRequest | GenerateRequest, kept: Kept) -> None:
        """How a query has ended is known for minutes only, so its deadline counts, too."""
        over = self._broker.clock.remaining_s(_deadline(work, kept.letter)) <= 0
        if over or await self._terminals.find(work.tenant, work.query_id):
            raise ReplayRefusedError(
                f"The query {work.query_id} has ended, and a query ends only once: ask again, and drop the letter."
            )

    async def _publish(self, kept: Kept) -> None:
        """The very message, but for its id: under its old one the broker might take it for a repetition.

        It begins anew: if it should be delivered no more, it is put into its queue once more.
        """
        letter = kept.letter
        headers = without_orders(letter.headers)
        headers.pop(subjects.HEADER_REQUEUED, None)
        await self._broker.publish_bytes(
            letter.subject,
            bytes(letter.payload),
            stream=letter.stream,
            headers={**headers, subjects.HEADER_MESSAGE_ID: f"replay.{kept.id}"},
        )


def _deadline(work: QueryRequest | GenerateRequest, letter: DeadLetter) -> datetime:
    if isinstance(work, GenerateRequest):
        return work.deadline
    return published_at(letter.message_id) + timedelta(seconds=budget_s(letter.headers))


def _without_payload(kept: Kept | None) -> Kept | None:
    return kept and replace(kept, letter=kept.letter.model_copy(update={"payload": b""}))


def _kept(stored: Stored) -> Kept | None:
    """None for what is no letter: it stays in the stream for a release that can read it."""
    try:
        letter = DeadLetter.from_bytes(stored.data)
    except (InvalidMessageError, NewerSchemaError):
        return None
    names = _names(bytes(letter.payload))
    return Kept(
        id=f"{letter.stream}.{letter.message_id}",
        position=stored.sequence,
        letter=letter,
        size_bytes=len(letter.payload),
        document_id=_token(names.get("document_id")),
        query_id=_token(names.get("query_id")) or _token(letter.headers.get(subjects.HEADER_QUERY_ID)),
    )


def _names(payload: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(payload)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _token(value: object) -> str | None:
    """An id that may be one; anything may stand in a letter."""
    return value if isinstance(value, str) and TOKEN.fullmatch(value) else None
