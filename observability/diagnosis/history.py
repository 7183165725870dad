"""When which cause was there: kept while it goes on and after it, and stored as it changes."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import structlog

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, DiagnosisHistoryView
from contracts.errors import PermanentError
from observability.diagnosis.records import EpisodeRecord
from observability.records import RecordStore, StaleRecordError

MOST_KEPT: Final = 300
"""Episodes; the oldest that are over go first."""
ENDS_AFTER: Final = timedelta(minutes=1)
"""A cause that was not found for so long is over: between two looks evidence may be missing."""
STORED_AFTER: Final = timedelta(minutes=5)
"""How much of what goes on unchanged may be lost when the observer dies."""
SURER: Final = 0.05
"""By so much a diagnosis has to be surer to take the place of the one that is kept."""

log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Episode:
    record: EpisodeRecord
    revision: int = 0
    stored: EpisodeRecord | None = None

    @property
    def goes_on(self) -> bool:
        return self.record.ended_at is None

    @property
    def is_due(self) -> bool:
        """Whether what is stored says too little."""
        if self.stored is None or self.record.ended_at != self.stored.ended_at:
            return True
        if self.record.diagnosis != self.stored.diagnosis:
            return True
        return self.record.last_seen_at - self.stored.last_seen_at >= STORED_AFTER


class DiagnosisHistory:
    """The episodes of causes, at most `most`. One observer at a time writes: the one that leads."""

    def __init__(self, store: RecordStore[EpisodeRecord], *, most: int = MOST_KEPT) -> None:
        self._store = store
        self._most = most
        self._episodes: dict[str, _Episode] = {}

    async def restore(self) -> None:
        """Go on with what is stored. Raises `TransientError` when it cannot be read; then nothing has changed."""
        stored = await self._store.load()
        self._episodes = {
            each.key: _Episode(each.record, each.revision, each.record) for each in stored if each.record is not None
        }

    async def take(self, view: DiagnosesView) -> None:
        """Take note of what was found, and store what has changed.

        Raises `TransientError` when that cannot be stored: it is the next time, unless `restore` comes before.
        """
        for diagnosis in view.items:
            self._see(diagnosis)
        self._end({item.fingerprint for item in view.items}, frozenset(view.unjudged), view.at)
        await self._forget()
        for key, episode in list(self._episodes.items()):
            if episode.is_due:
                await self._write(key, episode)

    def since(self, moment: datetime) -> DiagnosisHistoryView:
        """The episodes that go on, or ended at `moment` or later."""
        found = [episode.record for episode in self._episodes.values() if (episode.record.ended_at or moment) >= moment]
        newest_first = sorted(found, key=lambda record: (record.began_at, record.key), reverse=True)
        return DiagnosisHistoryView(items=tuple(record.view() for record in newest_first))

    def _see(self, diagnosis: Diagnosis) -> None:
        episode = self._open(diagnosis.fingerprint)
        if episode is None:
            record = EpisodeRecord(began_at=diagnosis.at, last_seen_at=diagnosis.at, diagnosis=diagnosis)
            self._episodes[record.key] = _Episode(record)
            return
        changes: dict[str, object] = {"last_seen_at": max(diagnosis.at, episode.record.last_seen_at)}
        if _says_more(diagnosis, episode.record.diagnosis):
            changes["diagnosis"] = diagnosis
        episode.record = episode.record.model_copy(update=changes)

    def _open(self, fingerprint: str) -> _Episode | None:
        return next(
            (
                episode
                for episode in self._episodes.values()
                if episode.goes_on and episode.record.diagnosis.fingerprint == fingerprint
            ),
            None,
        )

    def _end(self, found: set[str], unjudged: frozenset[Cause], at: datetime) -> None:
        """What could not be looked for goes on."""
        for episode in self._episodes.values():
            record = episode.record
            gone = record.diagnosis.fingerprint not in found and record.diagnosis.cause not in unjudged
            if episode.goes_on and gone and at - record.last_seen_at >= ENDS_AFTER:
                episode.record = record.model_copy(update={"ended_at": record.last_seen_at})

    async def _forget(self) -> None:
        oldest_first = sorted(
            self._episodes, key=lambda key: (self._episodes[key].goes_on, self._episodes[key].record.began_at)
        )
        for key in oldest_first[: max(0, len(oldest_first) - self._most)]:
            await self._store.remove(key, revision=self._episodes[key].revision)
            del self._episodes[key]

    async def _write(self, key: str, episode: _Episode) -> None:
        record = episode.record
        try:
            episode.revision = await self._store.write(record, revision=episode.revision)
        except StaleRecordError:
            other = await self._store.read(key)
            episode.revision = 0 if other is None else other.revision
            raise
        except PermanentError as error:  # it never will be: it is known for as long as this observer leads
            log.error("a diagnosis cannot be stored", key=key, reason=str(error))  # noqa: TRY400 (it says all)
        episode.stored = record


def _says_more(new: Diagnosis, kept: Diagnosis) -> bool:
    return new.confidence >= kept.confidence + SURER or new.impacted_by != kept.impacted_by
