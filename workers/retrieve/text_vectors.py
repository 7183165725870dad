"""The vectors of texts that somebody asks for; questions go before them."""

from __future__ import annotations

import base64
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

from contracts.encoding import EncodeReply, EncodeRequest, TextKind
from contracts.errors import ErrorCode, PermanentError, TransientError
from messaging.encoding import OtherDimensionError, OtherModelError, TextRefusedError
from workers.encoding.base import Embedder, EncoderIdentity, Passage, Vector
from workers.encoding.models import short_name

GROUP_TEXTS = 8
GROUP_CHARACTERS = 1000
"""So much is encoded in one go, if it is more than one text: a question that comes meanwhile waits for no more than that."""
FRAME_BYTES = 1024
"""Of a reply, for what is not vectors."""
SHARE = 0.5
"""Of the time of a request; what is encoded by then is told, so that slow encoders get on, too."""
PLAIN = "Every encoder can take this sentence."

Outcome = Vector | Exception
Outcomes = tuple[list[Outcome], int | None]
"""A vector or an error for each text, and how many tokens were read."""
T = TypeVar("T")


class BetweenQuestions(Protocol):
    """Has something done with the encoder while no question waits for it. Raises what that raises, or that it is away."""

    def __call__(self, work: Callable[[Embedder], T], /) -> Awaitable[T]: ...


class TextVectors:
    """Encodes the texts of requests in small groups. Nothing of them is remembered."""

    def __init__(
        self,
        between_questions: BetweenQuestions,
        identity: EncoderIdentity,
        *,
        reply_bytes: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`reply_bytes`: as large a message may be."""
        self._between_questions = between_questions
        self._monotonic = monotonic
        self._identity = identity
        self._most = (reply_bytes - FRAME_BYTES) // _encoded_bytes(identity.dimension)

    async def reply(self, request: EncodeRequest) -> EncodeReply:
        """The vectors of the first texts, as many as fit into a reply and into half of its time, of one group at least.

        Raises `OtherModelError`, `OtherDimensionError`, `TextRefusedError`, `PermanentError` where not even one fits, or
        `TransientError`.
        """
        self._require_wanted(request)
        encode = _passages if request.kind is TextKind.PASSAGES else _questions
        vectors, read, ends = list[str](), list[int | None](), self._monotonic() + SHARE * request.timeout_s
        for group in _groups(request.texts[: self._most]):
            outcomes, tokens = await self._between_questions(partial(encode, texts=group))
            for outcome in outcomes:
                if isinstance(outcome, Exception):
                    raise TextRefusedError(f"it cannot be encoded ({outcome})", position=len(vectors)) from outcome
                vectors.append(base64.b64encode(outcome.astype("<f4").tobytes()).decode())
            read.append(tokens)
            if self._monotonic() > ends:
                break
        return EncodeReply(
            model=self._identity.model,
            dimension=self._identity.dimension,
            vectors=tuple(vectors),
            tokens=_sum(read),
        )

    def _require_wanted(self, request: EncodeRequest) -> None:
        model, dimension = self._identity.model, self._identity.dimension
        if request.model is not None and short_name(request.model) != model:
            raise OtherModelError(f"there is no model {request.model}: the encoder is {model}")
        if request.dimension is not None and request.dimension != dimension:
            raise OtherDimensionError(
                f"the encoder {model} gives vectors of {dimension} numbers, not {request.dimension}"
            )
        if self._most < 1:
            raise PermanentError(
                f"a vector of {dimension} numbers does not fit into a message: raise `max_payload` of the broker",
                code=ErrorCode.ENCODING_FAILED,
            )


def _groups(texts: Sequence[str]) -> Iterator[list[str]]:
    group = list[str]()
    for text in texts:
        if group and (len(group) == GROUP_TEXTS or sum(map(len, group)) + len(text) > GROUP_CHARACTERS):
            yield group
            group = []
        group.append(text)
    yield group


def _passages(embedder: Embedder, *, texts: Sequence[str]) -> Outcomes:
    outcomes = [
        outcome if isinstance(outcome, Exception) else outcome.vector
        for outcome in embedder.encode_passages([Passage(text=text) for text in texts])
    ]
    if all(isinstance(outcome, Exception) for outcome in outcomes):
        _require_plain(embedder)
    return outcomes, embedder.count_tokens(texts)


def _require_plain(embedder: Embedder) -> None:
    """Raises `TransientError` when not even a plain sentence can be encoded: then no text is at fault."""
    (outcome,) = embedder.encode_passages([Passage(text=PLAIN)])
    if isinstance(outcome, Exception):
        message = f"the encoder fails on everything: {outcome}"
        raise TransientError(message, code=ErrorCode.ENCODING_FAILED) from outcome


def _questions(embedder: Embedder, *, texts: Sequence[str]) -> Outcomes:
    return _each(embedder, texts), embedder.count_tokens(texts)


def _each(embedder: Embedder, texts: Sequence[str]) -> list[Outcome]:
    """Which one is at fault is not told, so each is encoded alone then."""
    try:
        return list(embedder.encode_questions(texts))
    except PermanentError as error:
        if len(texts) == 1:
            return [error]
    return [outcome for text in texts for outcome in _each(embedder, [text])]


def _encoded_bytes(dimension: int) -> int:
    """In base64, with its quotation marks and comma."""
    return 4 * -(-4 * dimension // 3) + 3


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [count for count in counts if count is not None]
    return sum(known) if len(known) == len(counts) else None
