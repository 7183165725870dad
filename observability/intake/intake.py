"""All that the fleet tells, on its way to series."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from contracts import subjects
from contracts.errors import InvalidMessageError, WaggleError
from contracts.health import Heartbeat
from contracts.metrics import MetricsSample
from observability.intake import catalogue
from observability.intake.advisories import Advisories
from observability.intake.broker_facts import BrokerFacts, BrokerLook, BrokerSeries
from observability.intake.documents import HISTOGRAMS as OF_DOCUMENTS
from observability.intake.errors import MisaddressedError
from observability.intake.life_cycle import LifeCycle
from observability.intake.malformed import Malformed
from observability.intake.processes import Name, Processes
from observability.intake.queries import HISTOGRAMS as OF_QUERIES
from observability.intake.samples import Samples
from observability.intake.services import Services
from observability.intake.tally import Tally
from observability.metadata import MetadataRegistry
from observability.promql.labels import METRIC_NAME, Labels
from observability.promql.source import SeriesSink

JUDGE_INTERVAL_S: Final = 2.0
TALLY_INTERVAL_S: Final = 10.0
"""How often what is counted here is written."""
LARGEST_HEARTBEAT_BYTES: Final = 64 * 1024
LARGEST_SAMPLE_BYTES: Final = 1024 * 1024

_PRINCIPALS: Final = Labels({METRIC_NAME: catalogue.QUERY_PRINCIPALS})


class Intake:
    """Takes what arrives and appends it to `sink`. Nothing that arrives raises: what cannot be read is counted.

    `now_ms` is the broker's time, which all samples get at their arrival: no sender's clock matters. `monotonic` is our own
    clock, by which is judged who is silent. `expected` says how many processes of a service there should be, where that is
    configured, `known` what an earlier observer had learnt when it died. `own` is the name (service, instance) of the
    process that this runs in: when not even its heartbeats arrive, it is us who do not hear.
    """

    def __init__(
        self,
        sink: SeriesSink,
        *,
        now_ms: Callable[[], int],
        monotonic: Callable[[], float],
        expected: Mapping[str, int] | None = None,
        known: Mapping[str, int] | None = None,
        own: Name | None = None,
    ) -> None:
        self._sink = sink
        self._now_ms = now_ms
        self._monotonic = monotonic
        self._tally = Tally(sink, histograms={**OF_QUERIES, **OF_DOCUMENTS})
        self._life_cycle = LifeCycle(self._tally)
        self._advisories = Advisories(self._tally)
        self._broker = BrokerSeries(sink)
        self._tallied: float | None = None
        self.metadata = MetadataRegistry(catalogue.CATALOGUE)
        self.services = Services(sink, expected=expected, known=known, now=monotonic())
        self.processes = Processes(sink, self.services, monotonic=monotonic, own=own)
        self.samples = Samples(sink, self.metadata, monotonic=monotonic)
        self.malformed = Malformed()
        self.heartbeats = 0
        """How many were taken."""
        self.broker_look: BrokerLook | None = None
        """The last one."""

    def heartbeat(self, subject: str, data: bytes) -> None:
        """Take a message of `rag.health.>`. Its series are written by the next `tick`."""
        try:
            _require_size(data, LARGEST_HEARTBEAT_BYTES)
            beat = Heartbeat.from_bytes(data)
            _require_subject(subject, subjects.health(beat.service, beat.instance))
        except WaggleError as error:
            self._refuse("heartbeat", subject, error)
            return
        self.heartbeats += 1
        self.processes.hear(beat, time_ms=self._now_ms())

    def sample(self, subject: str, data: bytes) -> None:
        """Take a message of `rag.metrics.>`."""
        try:
            _require_size(data, LARGEST_SAMPLE_BYTES)
            sample = MetricsSample.from_bytes(data)
            _require_subject(subject, subjects.metrics(sample.service, sample.instance))
        except WaggleError as error:
            self._refuse("sample", subject, error)
            return
        self.samples.take(sample, time_ms=self._now_ms())

    def event(self, subject: str, headers: Mapping[str, str], data: bytes) -> None:
        """Take a message of `rag.events.>`."""
        try:
            self._life_cycle.take(subject, headers, data, now=self._monotonic())
        except WaggleError as error:
            self._refuse("event", subject, error)

    def advisory(self, subject: str, data: bytes) -> None:
        """Take a message of `$JS.EVENT.ADVISORY.CONSUMER.>`."""
        try:
            self._advisories.take(data)
        except WaggleError as error:
            self._refuse("advisory", subject, error)

    def broker(self, facts: BrokerFacts | None) -> None:
        """Take what was read of the broker; None when it does not answer."""
        self.broker_look = BrokerLook(facts=facts, at=self._monotonic())
        self._broker.write(facts, time_ms=self._now_ms())

    def tick(self, *, listening: bool) -> None:
        """Judge who is alive and write what has changed; call it every `JUDGE_INTERVAL_S`.

        `listening`: whether there was a connection since the last time.
        """
        time_ms, now = self._now_ms(), self._monotonic()
        self.processes.judge(time_ms=time_ms, listening=listening)
        self.samples.expire(time_ms=time_ms, listening=listening)
        if self._tallied is None or now - self._tallied >= TALLY_INTERVAL_S:
            self._tallied = now
            self._tally.write(time_ms=time_ms)
            self._sink.append(_PRINCIPALS, time_ms=time_ms, value=self._life_cycle.queries.askers(now=now))

    def end(self) -> None:
        """We are told to stop."""
        self.services.end(time_ms=self._now_ms())

    def _refuse(self, kind: str, subject: str, error: WaggleError) -> None:
        self.malformed.count("misaddressed" if isinstance(error, MisaddressedError) else kind, subject, str(error))


def _require_size(data: bytes, largest: int) -> None:
    if len(data) > largest:
        raise InvalidMessageError(f"{len(data)} bytes are above {largest}")


def _require_subject(subject: str, expected: str) -> None:
    if subject != expected:
        raise MisaddressedError(f"sent on {subject}, but it says that it belongs on {expected}")
