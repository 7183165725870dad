"""Which of several observers leads: one evaluates and tells, the others stand by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from opentelemetry.metrics import Meter, Observation

from contracts.errors import WaggleError
from contracts.health import FACT_LEADS
from messaging.leases import Lease, LeaseHeldError, Leases
from messaging.notifications import fencing_token
from workers.observer.standby import Standby
from workers.observer.term import Means, Term

LEASE = "observer"
CANDIDACIES_PER_TTL = 6

log = structlog.get_logger(__name__)


class Leadership:
    """Leads whenever nobody else does, for as long as the lease is renewed; all that a term does ends with it, at once.

    A lease that is not renewed ends within its time, and is asked for six times in that: another observer takes over within
    two times the lease's.
    """

    def __init__(self, leases: Leases, means: Means, *, meter: Meter, tell: Callable[[str, str], None]) -> None:
        self._leases = leases
        self._means = means
        self._tell = tell
        self._standby = Standby(means)
        self.leads = False
        self._mark(leads=False)
        meter.create_observable_gauge(
            "waggle.observer.leading",
            [lambda _: [Observation(int(self.leads))]],
            description="Whether this observer is the one that evaluates rules and tells of alerts.",
        )

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._alternate()
        finally:
            await self._standby.end()

    async def _alternate(self) -> None:
        while True:
            try:
                async with self._leases.held(LEASE) as lease:
                    await self._lead(lease)
            except LeaseHeldError as error:
                log.debug("observer stands by", reason=str(error))
                self._standby.begin()
            except WaggleError as error:  # fenced, not renewed in time, or what is stored cannot be read
                log.warning("observer does not lead", reason=str(error))
            await asyncio.sleep(min(self._means.rhythm.candidacy_s, self._leases.ttl_s / CANDIDACIES_PER_TTL))

    async def _lead(self, lease: Lease) -> None:
        token = await fencing_token(self._means.broker, lease.revision)
        await self._standby.end()
        log.info("observer leads", term=token)
        self._mark(leads=True)
        try:
            await Term(self._means, token=token).run()
        except BaseExceptionGroup as failures:  # Python 3.11.2 makes a group of what is raised in an `except*`
            expected, others = failures.split(WaggleError)
            if expected is None or others is not None:
                raise
            raise _first(expected) from None
        finally:
            self._mark(leads=False)
            self._means.board.clear()
            self._means.metrics.clear()

    def _mark(self, *, leads: bool) -> None:
        self.leads = leads
        self._tell(FACT_LEADS, "yes" if leads else "no")


def _first(failures: BaseExceptionGroup[WaggleError]) -> WaggleError:
    failure: BaseException = failures
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    assert isinstance(failure, WaggleError)
    return failure
