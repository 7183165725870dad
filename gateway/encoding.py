"""Has texts encoded: in groups, some of them at once, each by whichever worker has room."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from contracts.encoding import MAX_CHARACTERS, MAX_TEXTS, EncodeReply, EncodeRequest, TextKind
from gateway import problems
from gateway.limits import Limits
from messaging.broker import Broker
from messaging.encoding import EncodeDesk, EncoderLeftError, EncodersBusyError, TextRefusedError

GROUPS_AT_ONCE = 4
"""Of one request: more workers do more of it at a time, and each has the next group at hand."""
GROUP_S = 20.0
"""A worker that has said nothing for so long is given up. It tells what it has after half of that."""
ASKS = 3
"""So many workers may end or fall silent over a group."""
FIRST_PAUSE_S = 0.05
MOST_PAUSE_S = 0.5
"""Before a busy worker is asked again, or another one."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Texts, and as what and by which encoder they are to be encoded. None: whichever there is."""

    tenant: str
    principal: str
    texts: Sequence[str]
    kind: TextKind
    model: str | None = None
    dimension: int | None = None


@dataclass(frozen=True, kw_only=True)
class Encoded:
    """The vectors of texts in their order, each as little-endian float32 in base64."""

    model: str
    vectors: list[str]
    tokens: int | None
    """How many tokens were read; None where the encoder does not say."""


class EncodersExchangedError(Exception):
    """Some of the texts were encoded by one encoder, some by another: their vectors cannot be compared."""


class Desk(Protocol):
    async def encode(self, request: EncodeRequest) -> EncodeReply: ...


class Encoding:
    """The texts of one request on their way.

    Busy workers are asked again for as long as something is encoded every `patience_s`.
    """

    def __init__(
        self,
        desk: Desk,
        wanted: Wanted,
        *,
        patience_s: float,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._desk = desk
        self._wanted = wanted
        self._patience_s = patience_s
        self._monotonic = monotonic
        self._sleep = sleep
        self._at_once = asyncio.Semaphore(GROUPS_AT_ONCE)
        self._served_at = monotonic()

    async def done(self, *, within_s: float) -> Encoded:
        """All vectors.

        Raises `TimeoutError` when there is not enough time, `EncodersExchangedError`, and what `EncodeDesk.encode` raises, where
        a position is that among all texts. Nothing goes on after that.
        """
        try:
            async with asyncio.timeout(within_s), asyncio.TaskGroup() as tasks:
                asking = [tasks.create_task(self._group(*group)) for group in _groups(self._wanted.texts)]
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        return _together([reply for asked in asking for reply in asked.result()])

    async def _group(self, first: int, texts: Sequence[str]) -> list[EncodeReply]:
        replies = list[EncodeReply]()
        async with self._at_once:
            while texts:  # as many come at a time as fit into a message, or were encoded by then
                replies.append(await self._asked(first, texts))
                first, texts = first + len(replies[-1].vectors), texts[len(replies[-1].vectors) :]
        return replies

    async def _asked(self, first: int, texts: Sequence[str]) -> EncodeReply:
        pause_s, left = FIRST_PAUSE_S, 0
        while True:
            try:
                reply = await self._desk.encode(self._request(texts))
            except TextRefusedError as error:
                raise TextRefusedError(str(error), position=first + error.position) from error
            except EncoderLeftError:
                left += 1
                if left == ASKS:
                    raise
            except EncodersBusyError:
                if self._monotonic() - self._served_at > self._patience_s:
                    raise
                await self._sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311  # no secret
                pause_s = min(2 * pause_s, MOST_PAUSE_S)
            else:
                self._served_at = self._monotonic()
                return reply

    def _request(self, texts: Sequence[str]) -> EncodeRequest:
        wanted = self._wanted
        return EncodeRequest(
            tenant=wanted.tenant,
            principal=wanted.principal,
            texts=tuple(texts),
            kind=wanted.kind,
            model=wanted.model,
            dimension=wanted.dimension,
            timeout_s=GROUP_S,
        )


class Encoders:
    """The workers that encode, as a gateway asks them, with a bound on what it keeps of texts and their vectors at once."""

    def __init__(self, desk: Desk, *, at_most: int, patience_s: float) -> None:
        """A tenant may have a half of `at_most` texts in hand."""
        self._desk = desk
        self._at_most = at_most
        self._patience_s = patience_s
        self._of = Counter[str]()

    @classmethod
    def over(cls, broker: Broker, limits: Limits) -> Self:
        return cls(EncodeDesk(broker), at_most=limits.texts_in_hand, patience_s=limits.encoders_patience_s)

    def encoding(self, wanted: Wanted) -> Encoding:
        """Nothing is asked yet."""
        return Encoding(self._desk, wanted, patience_s=self._patience_s)

    @contextmanager
    def holding(self, tenant: str, texts: int) -> Iterator[None]:
        """Raises a 429 problem when there is no room for them."""
        if self._of.total() + texts > self._at_most or self._of[tenant] + texts > self._at_most // 2:
            raise problems.busy("This gateway has as many texts in hand as it takes: nothing was encoded.")
        self._of[tenant] += texts
        try:
            yield
        finally:
            self._of[tenant] -= texts
            self._of += Counter()  # whoever has none is forgotten


def _groups(texts: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """With the position of their first."""
    first, characters, group = 0, 0, list[str]()
    for position, text in enumerate(texts):
        if group and (len(group) == MAX_TEXTS or characters + len(text) > MAX_CHARACTERS):
            yield first, group
            first, characters, group = position, 0, []
        characters += len(text)
        group.append(text)
    yield first, group


def _together(replies: Sequence[EncodeReply]) -> Encoded:
    encoders = {(reply.model, reply.dimension) for reply in replies}
    model = replies[0].model
    if len(encoders) > 1 or model is None:
        raise EncodersExchangedError
    tokens = [reply.tokens for reply in replies if reply.tokens is not None]
    return Encoded(
        model=model,
        vectors=[vector for reply in replies for vector in reply.vectors],
        tokens=sum(tokens) if len(tokens) == len(replies) else None,
    )
