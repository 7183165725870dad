"""What the broker does not permit. It says so apart from the answer, which then never comes: nobody is to wait for that."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager

import structlog
from opentelemetry.metrics import CallbackOptions, Meter, Observation

from messaging.errors import NotPermittedError

OPERATIONS = ("publish", "subscribe")
MOST_KINDS = 256
"""Of subjects that a refusal is logged for. More of them are counted only."""

_SAID = re.compile(r"permissions violation for (publish|subscription)\b.*?\"([^\"]*)\"", re.IGNORECASE)
_ADVICE = "give its user at the broker this permission, or this process the seed of its own user (docs/nats-users.md)"
_INBOX_ADVICE = "set WAGGLE_NATS_INBOX_PREFIX to _INBOX_ and the name of its user (docs/nats-users.md)"

log = structlog.get_logger(__name__)


class _Waiting:
    """Somebody who waits for an answer to what was published."""

    def __init__(self, subject: str, limit: asyncio.Timeout) -> None:
        self.subject = subject
        self.refused = False
        self._limit = limit

    def refuse(self) -> None:
        self.refused = True
        self._limit.reschedule(asyncio.get_running_loop().time())


class Refusals:
    """Counts what one connection is refused, logs it once for each kind of subject, and ends the waits for answers to it."""

    def __init__(self) -> None:
        self.counts = dict.fromkeys(OPERATIONS, 0)
        self._waiting: dict[str, list[_Waiting]] = {}
        self._logged: set[tuple[str, str]] = set()

    @asynccontextmanager
    async def heeded(self, subject: str) -> AsyncIterator[None]:
        """While the body publishes to `subject` and waits for what comes of it.

        Raises `NotPermittedError` from it as soon as the broker says that this may not be published.
        """
        key = subject.lower()  # the client reads what the broker says in lower case
        async with _until_refused(subject) as waiting:
            others = self._waiting.setdefault(key, [])
            others.append(waiting)
            try:
                yield
            finally:
                others.remove(waiting)
                if not others:
                    del self._waiting[key]

    def heed(self, error: Exception) -> bool:
        """Whether an error of the connection is a refusal; then it is dealt with."""
        said = _SAID.search(str(error))
        if said is None:
            return False
        operation = "publish" if said[1].lower() == "publish" else "subscribe"
        self.counts[operation] += 1
        subject = said[2]
        if operation == "publish":
            for waiting in self._waiting.get(subject.lower(), ()):
                subject = waiting.subject
                waiting.refuse()
        self._say(operation, subject)
        return True

    def measure(self, meter: Meter) -> None:
        """Tell the figures."""
        meter.create_observable_counter(
            "waggle.broker.permissions_refused",
            [self._observed],
            description="What the broker did not permit this process to publish or subscribe to.",
        )

    def _observed(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(count, {"messaging.operation.name": name}) for name, count in self.counts.items()]

    def _say(self, operation: str, subject: str) -> None:
        kind = (operation, _kind(subject))
        if kind in self._logged or len(self._logged) == MOST_KINDS:
            return
        self._logged.add(kind)
        advice = _INBOX_ADVICE if subject.upper().startswith("_INBOX") else _ADVICE
        log.error("the broker does not permit this", operation=operation, subject=subject, advice=advice)


@asynccontextmanager
async def _until_refused(subject: str) -> AsyncIterator[_Waiting]:
    try:
        async with asyncio.timeout(None) as limit:
            waiting = _Waiting(subject, limit)
            yield waiting
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise NotPermittedError(
            f"the broker does not permit this process to publish to {subject}: {_ADVICE}"
        ) from error


def _kind(subject: str) -> str:
    """A subject without what differs from message to message."""
    tokens = subject.split(".")
    return ".".join(tokens[: 5 if tokens[0].startswith("$") and tokens[0].upper() == "$JS" else 3])
