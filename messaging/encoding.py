"""Having texts encoded that are in no document: only workers have an encoder, and whoever asks has but a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors

from contracts import subjects
from contracts.encoding import EncodeCode, EncodeFailure, EncodeReply, EncodeRequest
from contracts.errors import InvalidMessageError, PermanentError, TransientError, WaggleError
from messaging.broker import Broker
from messaging.office import Office

Encode = Callable[[EncodeRequest], Awaitable[EncodeReply]]


class NotEncodedError(TransientError):
    """Nobody encoded the texts: there is no worker, or its encoder is away."""


class EncodersBusyError(NotEncodedError):
    """The worker that was asked has as much in hand as it takes; another one may have room, or the same one soon."""


class EncoderLeftError(NotEncodedError):
    """The worker that was asked ends, fell silent or took too long. Another one may do it."""


class TextRefusedError(PermanentError):
    """The text at `position` cannot be encoded; nobody else's fault."""

    def __init__(self, message: str, *, position: int) -> None:
        super().__init__(message)
        self.position = position


class OtherModelError(PermanentError):
    """The encoder that there is is not the one that was asked for."""


class OtherDimensionError(PermanentError):
    """Its vectors have another length than was asked for."""


def encode_office(broker: Broker, encode: Encode, *, service: str, concurrency: int) -> Office:
    """Answers requests for vectors; who still waits when the worker ends is told that another one may be asked."""

    async def answer(data: bytes) -> bytes:
        return (await _answer(encode, data)).to_bytes()

    return Office(
        broker,
        subjects.ENCODE,
        answer,
        busy=_failed(EncodeCode.BUSY, "it has its hands full", retryable=True).to_bytes(),
        leaving=_failed(EncodeCode.LEAVING, "this worker ends", retryable=True).to_bytes(),
        service=service,
        concurrency=concurrency,
    )


class EncodeDesk:
    """Asks for vectors."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def encode(self, request: EncodeRequest) -> EncodeReply:
        """The vectors of the first of the texts, at least one: ask for those of the others again.

        Raises `TextRefusedError`, `OtherModelError`, `OtherDimensionError`, `PermanentError` where asking again cannot help, or
        `NotEncodedError`, all within the time of the request.
        """
        try:
            message = await self._broker.nc.request(subjects.ENCODE, request.to_bytes(), timeout=request.timeout_s)
            reply = EncodeReply.from_bytes(message.data)
        except nats.errors.NoRespondersError as error:
            raise NotEncodedError("no retrieve worker is there to encode it") from error
        except TimeoutError as error:
            raise EncoderLeftError(f"the encoder gave no answer within {request.timeout_s:g} s") from error
        except (nats.errors.Error, OSError, WaggleError) as error:
            raise NotEncodedError(f"it was not encoded: {error}") from error
        if reply.failure is not None:
            raise _error_of(reply.failure)
        if not 0 < len(reply.vectors) <= len(request.texts) or reply.model is None or reply.dimension is None:
            raise NotEncodedError(f"a worker answered {len(request.texts)} texts with {len(reply.vectors)} vectors")
        return reply


async def _answer(encode: Encode, data: bytes) -> EncodeReply:
    try:
        asked = EncodeRequest.from_bytes(data)
        async with asyncio.timeout(asked.timeout_s):
            return await encode(asked)
    except TimeoutError:
        return _failed(EncodeCode.LATE, "it took too long", retryable=True)
    except WaggleError as error:
        return _reply_of(error)


def _reply_of(error: WaggleError) -> EncodeReply:
    match error:
        case TextRefusedError():
            return _failed(EncodeCode.BAD_TEXT, str(error), position=error.position)
        case OtherModelError():
            return _failed(EncodeCode.OTHER_MODEL, str(error))
        case OtherDimensionError():
            return _failed(EncodeCode.OTHER_DIMENSION, str(error))
        case InvalidMessageError():
            return _failed(EncodeCode.INVALID, str(error))
        case EncoderLeftError():
            return _failed(EncodeCode.LEAVING, str(error), retryable=True)
        case _:
            return _failed(EncodeCode.FAILED, str(error), retryable=isinstance(error, TransientError))


def _failed(code: EncodeCode, message: str, *, retryable: bool = False, position: int | None = None) -> EncodeReply:
    return EncodeReply(failure=EncodeFailure(code=code.value, message=message, retryable=retryable, position=position))


def _error_of(failure: EncodeFailure) -> WaggleError:
    match failure.code:
        case EncodeCode.BUSY:
            return EncodersBusyError(failure.message)
        case EncodeCode.LEAVING | EncodeCode.LATE:
            return EncoderLeftError(failure.message)
        case EncodeCode.OTHER_MODEL:
            return OtherModelError(failure.message)
        case EncodeCode.OTHER_DIMENSION:
            return OtherDimensionError(failure.message)
    if failure.position is not None:
        return TextRefusedError(failure.message, position=failure.position)
    return NotEncodedError(failure.message) if failure.retryable else PermanentError(failure.message)
