"""Where messages go that are given up: stored whole, once, with the reason."""

from __future__ import annotations

from base64 import b64encode
from datetime import UTC, datetime

from contracts import subjects, topology
from contracts.deadletters import DeadLetter
from contracts.errors import ErrorCode, WaggleError
from contracts.identifiers import TOKEN
from messaging.broker import ERR_WRONG_LAST_SEQUENCE, Broker
from messaging.delivery import Delivery
from messaging.errors import MessageTooLargeError, PublishRefusedError

HEADER_EXPECTED_LAST = "Nats-Expected-Last-Subject-Sequence"
HEADER_TRUNCATED = "Waggle-Payload-Bytes"
"""In the letter's headers when its payload was cut: how many bytes the message had."""

MAX_KEPT_BYTES = 256 * 1024
"""What is kept of a message that would not fit into the broker's payload limit once wrapped."""
MAX_REASON = 2000
NO_TENANT = "invalid"
MAX_HEADERS = 64


def letter_id(sequence: int, published_at: datetime) -> str:
    """The id of a message's dead letter, the same however often it is given up.

    Stream sequences start anew when a stream is recreated, hence the time (ms) beside it.
    """
    return f"{sequence}-{int(published_at.timestamp() * 1000)}"


def published_at(message_id: str) -> datetime:
    """When the message of a letter with this id was published; the beginning of time for an id of another form."""
    milliseconds = message_id.rpartition("-")[2]
    return datetime.fromtimestamp(int(milliseconds) / 1000 if milliseconds.isdecimal() else 0, UTC)


class DeadLetters:
    """Writes dead letters; the first one of a message stays, repeats change nothing."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def put(self, delivery: Delivery, payload: bytes, error: BaseException, *, attempts: int) -> bool:
        """Store the letter of a message. True: stored; False: it was there already.

        Raises `BrokerUnavailableError` or `StreamFullError` when it could not be stored.
        """
        letter = _letter(delivery, payload, error, attempts=attempts, failed_at=self._broker.clock.now())
        try:
            return await self._store(letter)
        except MessageTooLargeError:
            return await self._store(_cut(letter))

    async def _store(self, letter: DeadLetter) -> bool:
        try:
            await self._broker.publish(
                subjects.dead_letter(letter.stream, letter.message_id),
                letter,
                stream=topology.DLQ,
                message_id=f"{letter.stream}:{letter.message_id}",
                headers={HEADER_EXPECTED_LAST: "0"},
            )
        except PublishRefusedError as refusal:
            if refusal.err_code == ERR_WRONG_LAST_SEQUENCE:
                return False
            raise
        return True


def _letter(
    delivery: Delivery, payload: bytes, error: BaseException, *, attempts: int, failed_at: datetime
) -> DeadLetter:
    return DeadLetter(
        message_id=letter_id(delivery.sequence, delivery.published_at),
        tenant=tenant_of_letter(delivery.subject),
        stream=delivery.stream,
        consumer=delivery.consumer,
        subject=_clean(delivery.subject),
        stream_sequence=delivery.sequence,
        attempts=attempts,
        code=error.code if isinstance(error, WaggleError) else ErrorCode.INTERNAL,
        reason=_clean(str(error) or type(error).__name__),
        error_chain=_chain(error),
        failed_at=failed_at,
        headers={_clean(k): _clean(v) for k, v in list(delivery.headers.items())[:MAX_HEADERS]},
        payload=b64encode(payload),
    )


def tenant_of_letter(subject: str) -> str:
    """Whose a message is that was published on this subject. The broker's own messages are of no tenant."""
    tenant = subjects.tenant_of(subject)
    return tenant if TOKEN.fullmatch(tenant) and not subject.startswith("$") else NO_TENANT


def _cut(letter: DeadLetter) -> DeadLetter:
    headers = {**letter.headers, HEADER_TRUNCATED: str(len(letter.payload))}
    return letter.model_copy(update={"headers": headers, "payload": letter.payload[:MAX_KEPT_BYTES]})


def _chain(error: BaseException) -> tuple[str, ...]:
    """The error and what caused it, outermost first."""
    chain: list[str] = []
    current: BaseException | None = error
    while current is not None and len(chain) < 8:
        chain.append(_clean(f"{type(current).__name__}: {current}"))
        current = current.__cause__ or current.__context__
    return tuple(chain)


def _clean(text: str) -> str:
    """Text that can be stored as JSON: no lone surrogates, not endless."""
    return text[:MAX_REASON].encode("utf-8", "replace").decode()
