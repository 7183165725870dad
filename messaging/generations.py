"""The ledger's rules: pure functions from one record of a document to the next.

`messaging.ledger` applies them by compare-and-set. Every function is idempotent: applied to its own result it changes
nothing, so a write whose acknowledgement was lost is simply repeated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from contracts.documents import (
    TRANSITIONS,
    DocumentRecord,
    Failure,
    Generation,
    GenerationState,
    Metadata,
    Plan,
)
from contracts.errors import PermanentError
from contracts.identifiers import ANONYMOUS
from contracts.queries import READ_ON_S
from contracts.sources import UrlSource

HISTORY = 8
"""How many generations a record remembers beside the visible and the pending one."""

RECORD_MAX_BYTES = 512 * 1024
"""Older generations are forgotten beyond this size: the broker refuses messages above 1 MiB."""

READ_ON = timedelta(seconds=READ_ON_S)
"""What was superseded since is not forgotten for being one of many: how long it must stay is told by its record."""

_PENDING = frozenset({GenerationState.SUBMITTED, GenerationState.PLANNED})


class IllegalTransitionError(PermanentError):
    """A generation cannot go from its state to the one asked for; nothing was changed."""


class SupersededError(PermanentError):
    """The generation is not the document's pending one any more: deleted, replaced, ended or forgotten.

    Its work is void: drop it without failing the document.
    """


class DocumentNotFoundError(PermanentError):
    """The ledger has no record of this document."""


@dataclass(frozen=True, kw_only=True)
class Submission:
    """What a submitter hands in, already uploaded under `generation`."""

    tenant: str
    document_id: str
    generation: str
    name: str
    sha256: str
    size_bytes: int
    metadata: Metadata = field(default_factory=dict)
    principal: str = ANONYMOUS
    source: UrlSource | None = None


def current(record: DocumentRecord | None) -> Generation | None:
    """The latest generation if it is on its way or searchable, else None. An older visible one does not count."""
    if record is None or record.deleted:
        return None
    latest = record.latest
    return latest if latest.generation in (record.visible_generation, record.pending_generation) else None


def same_run(record: DocumentRecord | None, submission: Submission) -> Generation | None:
    """The current generation if it says what the submission says."""
    return latest if (latest := current(record)) and _content(latest) == _content(submission) else None


def submitted(record: DocumentRecord | None, submission: Submission, *, now: datetime) -> DocumentRecord:
    """A new pending generation; what was pending or has failed is superseded, the visible one stays visible."""
    if record is None:
        first = _first(submission, version=1, now=now)
        return DocumentRecord(
            tenant=submission.tenant,
            document_id=submission.document_id,
            pending_generation=first.generation,
            generations=(first,),
        )
    if record.generation(submission.generation) is not None:
        return record
    newest = _first(submission, version=record.latest.version + 1, now=now)
    unseen = pending_of(record) | {g.generation for g in record.generations if g.state is GenerationState.FAILED}
    earlier = _moved(record.generations, unseen, GenerationState.SUPERSEDED, now=now)
    return _bounded(
        record.model_copy(
            update={
                "deleted": False,
                "pending_generation": newest.generation,
                "generations": (*earlier, newest),
            }
        ),
        now=now,
    )


def run_again(
    record: DocumentRecord | None, replaced: str, submission: Submission, *, now: datetime, rebuild: bool = False
) -> DocumentRecord:
    """The generation `replaced` as a new one. Raises `SupersededError` when it may not run again: see `may_run_again`.

    Nobody handed anything in, so this must not win over a deletion or a submission of the meantime.
    """
    if record is None:
        raise SupersededError(f"there is no document {submission.document_id} to run again")
    entered = record.generation(submission.generation)
    if entered is not None:  # written before; void if it has ended since
        _pending(record, entered.generation)
    elif not may_run_again(record, replaced, rebuild=rebuild):
        raise SupersededError(
            f"generation {replaced} of document {record.document_id} was replaced or deleted, or has ended otherwise"
        )
    return submitted(record, submission, now=now)


def require_latest(record: DocumentRecord | None, document_id: str, version: int) -> None:
    """Raises `SupersededError` unless this is the latest version of a document that is not deleted."""
    if record is None or record.deleted or record.latest.version != version:
        raise SupersededError(f"version {version} of document {document_id} is not the latest any more")


def may_run_again(record: DocumentRecord, generation: str, *, rebuild: bool = False) -> bool:
    """Whether a generation is pending, or is the latest submission of a document that lives and has failed.

    To `rebuild` the one that is visible, if nothing was handed in since, is another reason: its rows are lost.
    """
    latest = record.latest
    if record.deleted:
        return False
    if rebuild:
        return generation == latest.generation == record.visible_generation
    failed = latest.generation == generation and latest.state is GenerationState.FAILED
    return failed or record.pending_generation == generation


def planned(
    record: DocumentRecord, generation: str, *, plan: Plan, media_type: str | None, now: datetime
) -> DocumentRecord:
    """Record the plan of the pending generation; a plan recorded before stays.

    Raises `SupersededError` when the generation is not pending.
    """
    current = _pending(record, generation)
    if current.state is GenerationState.PLANNED:
        return record
    return _replaced(
        record, _to(current, GenerationState.PLANNED, now=now, plan=plan, media_type=media_type or current.media_type)
    )


def flipped(record: DocumentRecord, generation: str, *, now: datetime) -> DocumentRecord:
    """Make the pending generation the visible one; the one visible until now is superseded at the same instant.

    Raises `SupersededError` when it was deleted or replaced meanwhile, `IllegalTransitionError` when it has failed or
    has no plan.
    """
    known = record.generation(generation)
    if known is not None and known.state is GenerationState.READY and record.searchable_generation == generation:
        return record
    if known is not None and not record.deleted and known.state is GenerationState.FAILED:
        raise _illegal(known, GenerationState.READY)
    ready = _to(_pending(record, generation), GenerationState.READY, now=now)
    earlier = _moved(record.generations, _names(record.visible_generation), GenerationState.SUPERSEDED, now=now)
    return _replaced(
        record.model_copy(
            update={"generations": earlier, "visible_generation": generation, "pending_generation": None}
        ),
        ready,
    )


def failed(record: DocumentRecord, generation: str, *, failure: Failure, now: datetime) -> DocumentRecord:
    """End the pending generation with a reason; what was visible stays visible.

    A generation that is not pending is left as it is: a late failure does not undo a success, a deletion or an earlier
    reason.
    """
    known = record.generation(generation)
    if known is None or record.deleted or generation != record.pending_generation:
        return record
    ended = _to(known, GenerationState.FAILED, now=now, failure=failure)
    return _replaced(record.model_copy(update={"pending_generation": None}), ended)


def deleted(record: DocumentRecord, *, now: datetime) -> DocumentRecord:
    """Nothing of the document is visible or pending any more; the record stays as a tombstone."""
    if record.deleted:
        return record
    live = {g.generation for g in record.generations if g.state in _PENDING or g.state is GenerationState.READY}
    return record.model_copy(
        update={
            "deleted": True,
            "visible_generation": None,
            "pending_generation": None,
            "generations": _moved(record.generations, live, GenerationState.SUPERSEDED, now=now),
        }
    )


def buried(tenant: str, document_id: str, generation: str, *, now: datetime) -> DocumentRecord:
    """The tombstone of a document of which only a generation's id is known."""
    unknown = Submission(
        tenant=tenant, document_id=document_id, generation=generation, name=document_id, sha256="0" * 64, size_bytes=0
    )
    return deleted(submitted(None, unknown, now=now), now=now)


def pending_of(record: DocumentRecord | None) -> set[str]:
    """The pending generation, as a set of none or one."""
    return _names(record.pending_generation if record else None)


def _names(generation: str | None) -> set[str]:
    return set() if generation is None else {generation}


def _content(of: Submission | Generation) -> tuple[str, str, Metadata]:
    return of.sha256, of.name, of.metadata


def _first(submission: Submission, *, version: int, now: datetime) -> Generation:
    return Generation(
        generation=submission.generation,
        version=version,
        name=submission.name,
        sha256=submission.sha256,
        size_bytes=submission.size_bytes,
        metadata=submission.metadata,
        principal=submission.principal,
        source=submission.source,
        submitted_at=now,
        updated_at=now,
    )


def _pending(record: DocumentRecord, generation: str) -> Generation:
    known = record.generation(generation)
    if known is None or record.deleted or record.pending_generation != generation:
        became = "deleted" if record.deleted else known.state.value if known else "forgotten"
        raise SupersededError(
            f"generation {generation} of document {record.document_id} is not pending any more ({became}): drop its work"
        )
    return known


def _to(current: Generation, state: GenerationState, *, now: datetime, **changes: object) -> Generation:
    if state not in TRANSITIONS[current.state]:
        raise _illegal(current, state)
    return current.model_copy(update={"state": state, "updated_at": now, **changes})


def _illegal(current: Generation, state: GenerationState) -> IllegalTransitionError:
    return IllegalTransitionError(
        f"generation {current.generation} is {current.state.value} and cannot become {state.value}"
    )


def _moved(
    generations: Iterable[Generation], names: set[str], state: GenerationState, *, now: datetime
) -> tuple[Generation, ...]:
    return tuple(_to(g, state, now=now) if g.generation in names else g for g in generations)


def _replaced(record: DocumentRecord, changed: Generation) -> DocumentRecord:
    generations = tuple(changed if g.generation == changed.generation else g for g in record.generations)
    return record.model_copy(update={"generations": generations})


def _bounded(record: DocumentRecord, *, now: datetime) -> DocumentRecord:
    """Forget the oldest generations that neither searches nor workers need."""
    needed = {record.visible_generation, record.pending_generation}
    kept = list(record.generations)
    spare = [g for g in kept if g.generation not in needed]
    old = [g for g in spare if g.updated_at + READ_ON <= now]
    forgotten = old[: max(0, len(spare) - HISTORY)]
    size = sum(_size(g) for g in kept if g not in forgotten)
    for oldest in spare:
        if size <= RECORD_MAX_BYTES:
            break
        if oldest not in forgotten:
            forgotten.append(oldest)
            size -= _size(oldest)
    kept = [g for g in kept if g not in forgotten]
    return record.model_copy(update={"generations": tuple(kept)})


def _size(generation: Generation) -> int:
    return len(generation.model_dump_json().encode())
