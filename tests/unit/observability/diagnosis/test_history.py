"""Episodes of causes: when they begin, go on, end, and that they outlive the observer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.diagnoses import Cause, DiagnosesView, Diagnosis, EpisodeView, Evidence, Subject
from contracts.errors import PermanentError, TransientError
from observability.diagnosis import DiagnosisHistory, DiagnosisQuestion, EpisodeRecord
from observability.records import StaleRecordError, StoredRecord

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Store:
    """A `RecordStore` in memory."""

    def __init__(self) -> None:
        self.content: dict[str, tuple[int, bytes]] = {}
        self.writes = 0
        self.fault: Exception | None = None

    async def load(self) -> list[StoredRecord[EpisodeRecord]]:
        return [
            StoredRecord(key=key, revision=revision, record=EpisodeRecord.from_bytes(data))
            for key, (revision, data) in self.content.items()
        ]

    async def read(self, key: str) -> StoredRecord[EpisodeRecord] | None:
        return next((each for each in await self.load() if each.key == key), None)

    async def write(self, record: EpisodeRecord, *, revision: int) -> int:
        if self.fault is not None:
            raise self.fault
        if self.content.get(record.key, (0, b""))[0] != revision:
            raise StaleRecordError("another revision")
        self.writes += 1
        self.content[record.key] = self.writes, record.to_bytes()
        return self.writes

    async def remove(self, key: str, *, revision: int) -> None:
        if self.content.get(key, (0, b""))[0] <= revision:
            self.content.pop(key, None)


def diagnosis(
    component: str = "index", *, second: float = 0, confidence: float = 0.8, roots: tuple[str, ...] = ()
) -> Diagnosis:
    cause, subject = Cause.BACKEND_CONNECTION_LOST, Subject(component=component)
    at = NOW + timedelta(seconds=second)
    return Diagnosis(
        fingerprint=subject.fingerprint(cause),
        cause=cause,
        subject=subject,
        summary="lost",
        confidence=confidence,
        evidence=(Evidence(what="check", value=0.0, at=at),),
        impacted_by=roots,
        at=at,
    )


def view(*items: Diagnosis, second: float = 0, unjudged: tuple[Cause, ...] = ()) -> DiagnosesView:
    return DiagnosesView(at=NOW + timedelta(seconds=second), items=items, unjudged=unjudged)


def told(history: DiagnosisHistory, *, second: float = -1e6) -> tuple[EpisodeView, ...]:
    return history.since(NOW + timedelta(seconds=second)).items


@pytest.fixture
def store() -> Store:
    return Store()


@pytest.fixture
def history(store: Store) -> DiagnosisHistory:
    return DiagnosisHistory(store)


async def test_what_is_found_again_is_one_episode_that_ends_where_it_was_last_found(history: DiagnosisHistory):
    for second in (0, 15, 30):
        await history.take(view(diagnosis(second=second), second=second))
    await history.take(view(second=45))
    (going,) = told(history)
    assert (going.began_at, going.last_seen_at, going.ended_at) == (NOW, NOW + timedelta(seconds=30), None)

    await history.take(view(second=90))

    (ended,) = told(history)
    assert ended.ended_at == NOW + timedelta(seconds=30)


async def test_what_comes_back_later_is_another_episode(history: DiagnosisHistory):
    await history.take(view(diagnosis()))
    await history.take(view(second=60))
    await history.take(view(diagnosis(second=75), second=75))

    later, first = told(history)

    assert (first.ended_at, later.ended_at) == (NOW, None)
    assert [each.began_at for each in told(history, second=10)] == [later.began_at]


async def test_a_cause_that_cannot_be_looked_for_does_not_end(history: DiagnosisHistory):
    await history.take(view(diagnosis()))
    await history.take(view(second=600, unjudged=(Cause.BACKEND_CONNECTION_LOST,)))

    assert told(history)[0].ended_at is None


async def test_it_is_kept_as_it_was_most_certain_and_written_when_that_changes(history: DiagnosisHistory, store: Store):
    for second, confidence in ((0, 0.6), (15, 0.62), (30, 0.9), (45, 0.5)):
        await history.take(view(diagnosis(second=second, confidence=confidence), second=second))

    assert told(history)[0].diagnosis.confidence == 0.9
    assert store.writes == 2


async def test_what_goes_on_unchanged_is_written_now_and_then(history: DiagnosisHistory, store: Store):
    for second in range(0, 601, 15):
        await history.take(view(diagnosis(second=second), second=second))

    assert store.writes == 3


async def test_another_observer_goes_on_with_it(history: DiagnosisHistory, store: Store):
    await history.take(view(diagnosis()))
    successor = DiagnosisHistory(store)
    await successor.restore()
    await successor.take(view(diagnosis(second=50), second=50))
    await successor.take(view(second=200))

    (episode,) = told(successor)

    assert (episode.began_at, episode.ended_at) == (NOW, NOW + timedelta(seconds=50))
    assert (await store.load())[0].record is not None


async def test_who_writes_what_another_has_written_meanwhile_is_told_and_can_the_next_time(
    history: DiagnosisHistory, store: Store
):
    await history.take(view(diagnosis(confidence=0.5)))
    other = DiagnosisHistory(store)
    await other.restore()
    await other.take(view(diagnosis(second=15, confidence=0.7), second=15))

    with pytest.raises(StaleRecordError):
        await history.take(view(diagnosis(second=30, confidence=0.9), second=30))
    await history.take(view(diagnosis(second=45, confidence=0.9), second=45))

    (stored,) = await store.load()
    assert stored.record is not None
    assert stored.record.diagnosis.confidence == 0.9


async def test_what_could_not_be_stored_is_the_next_time_unless_it_never_can(history: DiagnosisHistory, store: Store):
    store.fault = TransientError("away")
    with pytest.raises(TransientError):
        await history.take(view(diagnosis()))
    store.fault = None
    await history.take(view(diagnosis(second=15), second=15))
    assert len(store.content) == 1

    store.fault = PermanentError("too large")
    await history.take(view(diagnosis("encoder", second=30), second=30))
    assert len(told(history)) == 2


async def test_the_oldest_that_are_over_are_forgotten_first(store: Store):
    history = DiagnosisHistory(store, most=2)
    await history.take(view(diagnosis("a")))
    await history.take(view(diagnosis("a", second=90), diagnosis("b", second=90), second=90))
    await history.take(view(diagnosis("a", second=180), second=180))
    await history.take(view(diagnosis("a", second=270), diagnosis("c", second=270), second=270))

    assert [each.diagnosis.subject.component for each in told(history)] == ["c", "a"]
    assert len(store.content) == 2


def test_questions_say_which_parameter_is_wrong():
    assert DiagnosisQuestion.of({}) == DiagnosisQuestion()
    assert DiagnosisQuestion.of({"at": ["1769860800"]}).at == NOW
    assert DiagnosisQuestion.of({"since": ["2026-01-31T12:00:00Z"]}).since == NOW
    for wrong in ({"at": ["yesterday"]}, {"since": ["2026-01-31"]}, {"at": ["1"], "since": ["1"]}):
        with pytest.raises(ValueError, match=r"at:|since:"):
            DiagnosisQuestion.of(wrong)
