"""Finds what is wrong while the observer leads, keeps what was, and answers who asks."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

import structlog

from contracts.diagnoses import DiagnosesView, DiagnosisHistoryView
from contracts.errors import WaggleError
from contracts.observing import ErrorType, Parameters, RequestKind
from messaging.broker import Broker
from messaging.diagnosis_records import BucketEpisodes
from messaging.observing import Answer, Handler, RefusedError
from observability.alerting import EvaluationThreads
from observability.diagnosis import DiagnosisHistory, DiagnosisQuestion, Diagnostician
from observability.promql import EvaluationError, SeriesSource
from workers.observer.rhythm import Rhythm

if TYPE_CHECKING:
    from workers.observer.term import Duty
    from workers.observer.worker import Parts

AT_ONCE: Final = 2
"""Looks under way: one of our own, and one for who asks."""

log = structlog.get_logger(__name__)


def diagnosing(parts: Parts) -> Duty:
    """Look for causes all the time."""
    return parts.diagnoses.run


class Diagnoses:
    """Looks every `rhythm.diagnose_s`, and keeps a history of what it found in the broker; what cannot be stored is tried again
    the next time.
    """

    def __init__(self, broker: Broker, series: SeriesSource, *, memory_s: float, rhythm: Rhythm) -> None:
        self._clock = broker.clock
        self._diagnostician = Diagnostician(series, now_ms=broker.clock.now_ms, memory_ms=int(memory_s * 1000))
        self._history = DiagnosisHistory(BucketEpisodes(broker))
        self._threads = EvaluationThreads(AT_ONCE)
        self._warm_at = time.monotonic() + rhythm.warm_up_s
        self._every_s = rhythm.diagnose_s
        self._latest: DiagnosesView | None = None
        self._looked = asyncio.Event()

    def handlers(self) -> dict[RequestKind, Handler]:
        return {RequestKind.DIAGNOSES: self._answer}

    async def newer_than(self, view: DiagnosesView | None) -> DiagnosesView:
        """What was found last in this term, as soon as that is another view than this one; it is in the history by then."""
        while self._latest is None or self._latest is view:
            await self._looked.wait()
        return self._latest

    def since(self, moment: datetime) -> DiagnosisHistoryView:
        """The episodes of causes that go on, or ended then or later."""
        return self._history.since(moment)

    async def run(self, _: int) -> None:
        """Until cancelled. What is stored is read first: another observer may have led meanwhile."""
        self._latest = None
        # Who has not been heard yet is not to be taken for gone.
        await asyncio.sleep(self._warm_at - time.monotonic())
        restored = False
        while True:
            try:
                if not restored:
                    await self._history.restore()
                    restored = True
                view = await self._threads.run(self._diagnostician.now)
                await self._history.take(view)
                self._tell(view)
            except (EvaluationError, WaggleError) as error:
                log.warning("diagnoses are not kept this time", reason=str(error))
            await asyncio.sleep(self._every_s)

    def _tell(self, view: DiagnosesView) -> None:
        self._latest = view
        self._looked.set()
        self._looked = asyncio.Event()

    async def _answer(self, parameters: Parameters) -> Answer:
        try:
            question = DiagnosisQuestion.of(parameters)
        except ValueError as error:
            raise RefusedError(ErrorType.BAD_DATA, str(error)) from error
        if question.since is not None:
            return Answer.of(self._history.since(question.since))
        at_ms = self._clock.now_ms() if question.at is None else self._past_ms(question.at)
        try:
            return await self._threads.run(lambda: Answer.of(self._diagnostician.at(at_ms)))
        except EvaluationError as error:
            raise RefusedError(ErrorType.EXECUTION, str(error)) from error

    def _past_ms(self, at: datetime) -> int:
        if at > self._clock.now():
            raise RefusedError(ErrorType.BAD_DATA, f"at: {at.isoformat()} is yet to come")
        return int(at.timestamp() * 1000)
