"""What a process holds of the broker: a connection, JetStream, the broker's clock, and publishing that is told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager

import nats.errors
import nats.js.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import PubAck
from opentelemetry import propagate

from contracts import subjects, topology
from contracts.message import Message
from contracts.settings import BrokerSettings
from messaging.cancelling import heeding_cancellation
from messaging.clock import BrokerClock
from messaging.connection import Connection
from messaging.errors import (
    BrokerFullError,
    BrokerUnavailableError,
    MessageTooLargeError,
    PublishRefusedError,
    StreamFullError,
    SubjectTakenError,
    UnansweredError,
)
from messaging.publications import Publications
from messaging.refusals import Refusals
from messaging.repeating import repeated
from observability.request_context import current_request_id
from observability.telemetry import Telemetry

ERR_STREAM_STORE_FAILED = 10077
ERR_WRONG_LAST_SEQUENCE = 10071
ERR_NO_STORAGE = frozenset({10023, 10047})
ERR_IN_PROCESS = 10158
_PER_SUBJECT = "per subject"
"""What tells the refusal of a second message of a subject from that of a full stream; both have one number."""

log = structlog.get_logger(__name__)


class Broker:
    """A connected broker. Construct it with `Broker.connect`."""

    def __init__(self, connection: Connection, *, publish_timeout_s: float, replicas: int | None = None) -> None:
        self._connection = connection
        self.replicas = replicas
        self.publish_timeout_s = publish_timeout_s
        self.js: JetStreamContext = connection.nc.jetstream(timeout=publish_timeout_s)
        self.clock = BrokerClock(connection.nc)
        self._publications = Publications(Telemetry.off())

    @classmethod
    async def connect(
        cls, settings: BrokerSettings, *, name: str, on_closed: Callable[[], None] | None = None
    ) -> Broker:
        """Connect and learn the broker's time; waits for a broker that is not there yet.

        Raises `ConnectionRefusedByBrokerError` for wrong credentials. `on_closed`: see `Connection`.
        """
        connection = await Connection.open(settings, name=name, on_closed=on_closed)
        broker = cls(connection, publish_timeout_s=settings.publish_timeout_s, replicas=settings.replicas)
        try:
            await broker.clock.sync(timeout_s=settings.publish_timeout_s)
        except BrokerUnavailableError as error:
            log.warning("broker time unknown, using this host's until it is", reason=str(error))
        return broker

    def measure(self, telemetry: Telemetry) -> None:
        """Trace and measure what is published, from now on."""
        self._publications = Publications(telemetry)
        self.refusals.measure(telemetry.meter)

    @property
    def refusals(self) -> Refusals:
        """What the broker did not permit this process."""
        return self._connection.nc.refusals

    def heeding(self, subject: str) -> AbstractAsyncContextManager[None]:
        """While the body publishes to `subject` and waits for answers: raises `NotPermittedError` if that is not permitted."""
        return self.refusals.heeded(subject)

    @property
    def nc(self) -> Client:
        return self._connection.nc

    @property
    def is_connected(self) -> bool:
        return self.nc.is_connected

    async def connected_anew(self) -> None:
        """Wait until the connection breaks off and is there again."""
        await self._connection.again.wait()

    async def look(self) -> None:
        """Raises `BrokerUnavailableError` unless the broker is connected and JetStream answers."""
        if not self.is_connected:
            raise BrokerUnavailableError("not connected to the broker")
        await self.clock.sync(timeout_s=self.publish_timeout_s)

    async def close(self) -> None:
        """Flush and close. Does not raise when the broker is away."""
        await self._connection.close()

    async def publish(
        self,
        subject: str,
        message: Message,
        *,
        stream: topology.Stream,
        message_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> PubAck:
        """Store a message in `stream` and wait for the broker's acknowledgement.

        The same `message_id` within the stream's duplicate window is stored once. Trace context is added to the
        headers. Raises `BrokerUnavailableError` (not connected, or not acknowledged in time: then it may have been
        stored), `StreamFullError`, `MessageTooLargeError`, or `PublishRefusedError`.
        """
        return await self.publish_bytes(
            subject,
            message.to_bytes(),
            stream=stream.name,
            headers={subjects.HEADER_MESSAGE_ID: message_id, **(headers or {})},
        )

    async def publish_bytes(
        self, subject: str, payload: bytes, *, stream: str, headers: Mapping[str, str] | None = None
    ) -> PubAck:
        """As `publish`, for bytes and headers that are complete (but for the trace context).

        With a message id among them they are sent again every second within the publish time-out: what is sent while
        the brokers elect a new leader is kept by nobody.
        """
        with self._publications.to(stream):
            carrier = self._carrier(subject, headers)
            self._require_fitting(subject, payload, carrier)
            if subjects.HEADER_MESSAGE_ID not in carrier:
                return await self._publish(subject, payload, stream, carrier, self.publish_timeout_s)
            return await repeated(
                lambda timeout_s: self._publish(subject, payload, stream, carrier, timeout_s),
                within_s=self.publish_timeout_s,
            )

    async def _publish(
        self, subject: str, payload: bytes, stream: str, carrier: dict[str, str], timeout_s: float
    ) -> PubAck:
        try:
            # No `stream=`: the broker copies `Nats-Expected-Stream` into what it republishes, and the stream that
            # captures the copy (EVENTS, ANSWERS) then refuses it without a word.
            ack = await heeding_cancellation(self.js.publish(subject, payload, timeout=timeout_s, headers=carrier))
        except nats.js.errors.APIError as error:
            raise _refusal(error, subject, stream) from error
        except nats.js.errors.NoStreamResponseError as error:
            raise BrokerUnavailableError(f"no stream answers for {subject}; is {stream} provisioned?") from error
        except nats.errors.BadHeaderError as error:
            raise PublishRefusedError(f"{subject} cannot be published: {error}") from error
        except TimeoutError as error:
            raise UnansweredError(f"{subject} was not acknowledged by the broker: {error}") from error
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"{subject} was not acknowledged by the broker: {error}") from error
        if ack.stream != stream:
            raise PublishRefusedError(f"{subject} was stored in {ack.stream}, not in {stream}: the topology disagrees")
        return ack

    async def send(self, subject: str, message: Message, *, message_id: str) -> asyncio.Future[PubAck]:
        """Send a message to a stream without waiting; the future is its acknowledgement, and has no time-out of its own.

        For what may be lost. Raises `BrokerUnavailableError` when it cannot even be sent, or `MessageTooLargeError`.
        """
        headers, payload = self._carrier(subject, {subjects.HEADER_MESSAGE_ID: message_id}), message.to_bytes()
        self._require_fitting(subject, payload, headers)
        try:
            return await self.js.publish_async(subject, payload, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"{subject} could not be sent: {error}") from error

    def _require_fitting(self, subject: str, payload: bytes, headers: Mapping[str, str]) -> None:
        """The broker counts the headers, too, and breaks off the connection of whoever sends more; the library does not."""
        size, limit = len(payload) + _header_bytes(headers), self.nc.max_payload
        if size > limit:
            raise MessageTooLargeError(f"{subject}: {size} bytes are above the broker's limit of {limit}")

    def _carrier(self, subject: str, headers: Mapping[str, str] | None) -> dict[str, str]:
        """Headers with the trace context and the request that all this goes back to."""
        if not self.is_connected:
            raise BrokerUnavailableError(f"not connected to the broker, {subject} was not published")
        carrier = dict(headers or {})
        if (request_id := current_request_id()) is not None:
            carrier.setdefault(subjects.HEADER_REQUEST_ID, request_id)
        propagate.inject(carrier)
        return carrier


def _header_bytes(headers: Mapping[str, str]) -> int:
    lines = (f"{name}: {value}\r\n" for name, value in headers.items())
    return len(f"NATS/1.0\r\n{''.join(lines)}\r\n".encode())


def _refusal(error: nats.js.errors.APIError, subject: str, stream: str) -> Exception:
    description = error.description or str(error)
    if error.err_code == ERR_STREAM_STORE_FAILED:
        kind = SubjectTakenError if _PER_SUBJECT in description else StreamFullError
        return kind(f"{stream} refused {subject}: {description}")
    if error.err_code == ERR_IN_PROCESS:
        return UnansweredError(f"{stream} is still about to store {subject}: {description}")
    if error.err_code in ERR_NO_STORAGE:
        return BrokerFullError(
            f"the broker has no storage left for {stream} ({description}): make room on its disk, or raise its "
            "`max_file_store`"
        )
    if error.code is not None and error.code >= 500:
        return BrokerUnavailableError(f"{stream} cannot store {subject} now: {description}")
    return PublishRefusedError(f"{stream} refused {subject}: {description}", err_code=error.err_code)
