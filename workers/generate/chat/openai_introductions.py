"""What endpoints say of themselves: the models they serve, how much these hold, and how to have tokens counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import structlog
from pydantic import BaseModel, JsonValue, ValidationError

from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import EndpointFaultError
from workers.endpoints.pool import EndpointPool
from workers.endpoints.purpose import TimeLimit

ASK_LIMIT = TimeLimit(seconds=5.0, setting="the time to introduce itself")
LOOK_EVERY_S = 1.0
MAX_PAUSE_S = 60.0
"""An endpoint that says nothing of itself is asked again after pauses that double up to this."""

_NO_SUCH_ROUTE = "404"

log = structlog.get_logger(__name__)


class Dialect(StrEnum):
    """Whose way of counting tokens an endpoint knows."""

    VLLM = "vllm"
    LLAMA_CPP = "llama.cpp"


class _Meta(BaseModel):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class _Served(BaseModel):
    id: str
    max_model_len: int | None = None
    meta: _Meta | None = None


class _Models(BaseModel):
    data: tuple[_Served, ...] = ()


class _Defaults(BaseModel):
    n_ctx: int | None = None


class _Props(BaseModel):
    default_generation_settings: _Defaults = _Defaults()


class _Count(BaseModel):
    count: int


class _Tokens(BaseModel):
    tokens: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Introduction:
    """`served` is None where the endpoint does not tell; `lists_model` whether ours is among them."""

    served: tuple[str, ...] | None
    lists_model: bool
    context_tokens: int | None
    dialect: Dialect | None


@dataclass(frozen=True, kw_only=True)
class _InVain:
    """An endpoint that did not answer, and when it is asked again."""

    pause_s: float
    again_at: float


class Introductions:
    """Asks each endpoint when it is first in use, and again when it has been away: it may have come back as another."""

    def __init__(self, pool: EndpointPool, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._monotonic = monotonic
        self._known: dict[Endpoint, Introduction] = {}
        self._departures: dict[Endpoint, int] = {}
        self._in_vain: dict[Endpoint, _InVain] = {}

    @property
    def known(self) -> Mapping[Endpoint, Introduction]:
        """What those have told that were asked so far."""
        return self._known

    @property
    def context_tokens(self) -> int | None:
        """What every endpoint that has told can hold; a conversation may come to any of them."""
        told = [known.context_tokens for known in self._known.values() if known.context_tokens]
        return min(told, default=None)

    async def run(self) -> None:
        """Ask whoever comes into use, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            await self.complete()

    async def complete(self) -> None:
        """Ask those in use that have not told yet."""
        now = self._monotonic()
        due = [endpoint for endpoint in self._pool.endpoints if endpoint.usable and self._is_due(endpoint, now)]
        await asyncio.gather(*map(self._meet, due))

    async def count(self, endpoint: Endpoint, dialect: Dialect, text: str) -> int:
        """How many tokens `text` is there, without those that mark a beginning. Raises `EndpointFaultError`, `ValueError`."""
        told = await self._pool.ask(endpoint, "/tokenize", self._question(dialect, text), limit=ASK_LIMIT, root=True)
        if dialect is Dialect.LLAMA_CPP:
            return len(_Tokens.model_validate(told).tokens)
        return _Count.model_validate(told).count

    def _is_due(self, endpoint: Endpoint, now: float) -> bool:
        if self._departures.get(endpoint) == endpoint.departures:
            return False  # it has told, and not been away since
        in_vain = self._in_vain.get(endpoint)
        return in_vain is None or now >= in_vain.again_at

    async def _meet(self, endpoint: Endpoint) -> None:
        departures = endpoint.departures
        try:
            models = await self._models(endpoint)
        except EndpointFaultError as error:
            self._note_in_vain(endpoint, error)
            return
        ours = self._ours(models)
        known = Introduction(
            served=None if models is None else tuple(served.id for served in models.data),
            lists_model=ours is not None,
            context_tokens=await self._context(endpoint, ours),
            dialect=await self._dialect(endpoint),
        )
        self._known[endpoint] = known
        self._departures[endpoint] = departures
        self._in_vain.pop(endpoint, None)
        log.info("endpoint is known", endpoint=endpoint.url, context_tokens=known.context_tokens, counts=known.dialect)

    def _note_in_vain(self, endpoint: Endpoint, error: EndpointFaultError) -> None:
        before = self._in_vain.get(endpoint)
        if before is None:
            log.warning("endpoint does not introduce itself", endpoint=endpoint.url, reason=str(error))
        pause_s = min(2 * before.pause_s, MAX_PAUSE_S) if before else LOOK_EVERY_S
        self._in_vain[endpoint] = _InVain(pause_s=pause_s, again_at=self._monotonic() + pause_s)

    async def _models(self, endpoint: Endpoint) -> _Models | None:
        """None where there is no list. Raises `EndpointFaultError` where nothing is to be had."""
        try:
            return _Models.model_validate(await self._pool.ask(endpoint, "/models", limit=ASK_LIMIT))
        except ValidationError:
            return None
        except EndpointFaultError as error:
            if error.fault.label == _NO_SUCH_ROUTE:
                return None
            raise

    def _ours(self, models: _Models | None) -> _Served | None:
        """Our model among those that are served. Some servers list it with a folder or a tag that need not be given."""
        name = self._pool.purpose.model
        listed = models.data if models else ()
        return next((served for served in listed if _is(served.id, name)), None)

    async def _context(self, endpoint: Endpoint, ours: _Served | None) -> int | None:
        meta = ours and ours.meta
        told = ours and (ours.max_model_len or (meta and meta.n_ctx))
        return told or await self._context_of_llama_cpp(endpoint) or (meta.n_ctx_train if meta else None)

    async def _context_of_llama_cpp(self, endpoint: Endpoint) -> int | None:
        try:
            told = await self._pool.ask(endpoint, "/props", limit=ASK_LIMIT, root=True)
            return _Props.model_validate(told).default_generation_settings.n_ctx
        except (EndpointFaultError, ValidationError):
            return None  # another kind of server

    async def _dialect(self, endpoint: Endpoint) -> Dialect | None:
        for dialect in Dialect:
            try:
                await self.count(endpoint, dialect, "bee")
            except (EndpointFaultError, ValueError):
                continue  # another kind of server
            return dialect
        return None

    def _question(self, dialect: Dialect, text: str) -> dict[str, JsonValue]:
        if dialect is Dialect.LLAMA_CPP:
            return {"content": text, "add_special": False}
        return {"model": self._pool.purpose.model, "prompt": text, "add_special_tokens": False}


def _is(listed: str, name: str) -> bool:
    return listed in {name, f"{name}:latest"} or listed.endswith(f"/{name}")
