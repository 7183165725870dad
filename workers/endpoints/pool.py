"""Endpoints that serve the same model, used as one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

import structlog
from opentelemetry.metrics import Meter
from pydantic import JsonValue, SecretStr

from contracts.endpoint_reports import EndpointState, EndpointStats
from contracts.endpoints import Balance, EndpointAddress
from contracts.errors import TransientError
from workers.endpoints.attempts import Attempts
from workers.endpoints.balancing import Balancer
from workers.endpoints.classification import strange
from workers.endpoints.endpoint import Endpoint
from workers.endpoints.faults import EndpointFaultError, GivenUp, StrangeReplyError
from workers.endpoints.field_rules import Body, FieldRules, KnownFields
from workers.endpoints.figures import EndpointFigures, measure_together
from workers.endpoints.probing import ProbePauses, Prober
from workers.endpoints.purpose import Purpose, TimeLimit
from workers.endpoints.streaming import StreamPlan
from workers.endpoints.wire import Wire

T = TypeVar("T")
NO_RULES = FieldRules()

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Streamed(Generic[T]):
    """One item of a streamed reply, and who sent it."""

    endpoint: Endpoint
    item: T


@dataclass(frozen=True, kw_only=True)
class Replied(Generic[T]):
    """What was read from a whole reply, and who sent it."""

    endpoint: Endpoint
    reply: T


class EndpointPool:
    """Spreads requests over endpoints, leaves out those that fail and takes them back when they answer probes.

        pool = EndpointPool(addresses, purpose, balance=Balance.LEAST_CONNECTIONS, connect=limit, api_key=key)
        await pool.start()
        replied = await pool.post_json("/embeddings", {"model": "m", "input": ["…"]}, read=vectors, limit=limit)
        await pool.close()

    A request that an endpoint fails goes on to the next, until one answers or none is left; a streamed one only before
    its first token. Then `EndpointsAwayError` tells each endpoint's reason, `EndpointsUnfitError` that no endpoint would
    ever answer (a wrong key, a model that is not served), and `RequestRefusedError` that the request is refused.
    """

    def __init__(
        self,
        addresses: Sequence[EndpointAddress],
        purpose: Purpose,
        *,
        balance: Balance,
        connect: TimeLimit,
        api_key: SecretStr | None = None,
        pauses: ProbePauses | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.purpose = purpose
        self.endpoints = tuple(Endpoint(address, monotonic=monotonic) for address in addresses)
        self.figures = EndpointFigures(purpose, self.endpoints)
        self._balancer = Balancer(balance)
        self._wire = Wire(purpose, connect=connect, api_key=api_key)
        self._prober = Prober(self._wire, purpose, pauses=pauses)
        self._fields = KnownFields()
        self._standbys_first = False
        self._probing: asyncio.Task[None] | None = None

    @property
    def model(self) -> str:
        """What they all serve."""
        return self.purpose.model

    @property
    def is_out(self) -> bool:
        """Whether no endpoint is in use and none is only to be waited for: then a look may bring one back."""
        states = {endpoint.state for endpoint in self.endpoints}
        return EndpointState.FAILING in states and states <= {EndpointState.FAILING, EndpointState.DRAINING}

    async def start(self) -> None:
        """Look after endpoints that are out, from now on."""
        self._probing = asyncio.create_task(self._probe(), name=f"probes for {self.purpose.operation}")

    async def close(self) -> None:
        """End the probes and close every connection; requests under way are broken off. Raises what ended the probes."""
        try:
            if self._probing is not None:
                self._probing.cancel()
                await asyncio.wait({self._probing})
                if not self._probing.cancelled():
                    self._probing.result()
        finally:
            await self._wire.close()

    async def failed(self) -> None:
        """Wait until the probes end by themselves, which only a defect makes them do, and raise what they raised."""
        if self._probing is None:
            raise RuntimeError("the pool is not started yet: await start() first")
        await asyncio.shield(self._probing)

    def measure(self, meter: Meter) -> None:
        """Tell states, times and failures as metrics, from now on."""
        measure_together(meter, [self.figures])

    def stats(self) -> tuple[EndpointStats, ...]:
        """Figures of each endpoint since the start."""
        return tuple(endpoint.stats() for endpoint in self.endpoints)

    def drain(self, url: str) -> None:
        """Send the endpoint nothing new; what is under way there finishes. Raises `KeyError` for one of no such address."""
        self._at(url).draining = True

    def undrain(self, url: str) -> None:
        """Use the endpoint again."""
        self._at(url).draining = False

    def prefer(self, *, standbys: bool) -> None:
        """Ask standbys first from now on, and the others while no standby can be asked; or, as at first, the other way
        round. What is under way goes on where it is.
        """
        if standbys is self._standbys_first:
            return
        self._standbys_first = standbys
        if standbys and not any(endpoint.address.standby for endpoint in self.endpoints):
            log.warning("there is no standby to be asked first", setting=self.purpose.setting("ENDPOINTS"))
            return
        log.info("endpoints change turns", first="standby" if standbys else "primary", model=self.model)

    async def post_json(
        self,
        path: str,
        body: Body,
        *,
        read: Callable[[JsonValue], T],
        limit: TimeLimit,
        given_up: GivenUp | None = None,
    ) -> Replied[T]:
        """The reply to a request at `path`; `limit` is for each attempt.

        `read` raises `StrangeReplyError` for what it cannot use, and another endpoint is asked. `given_up` is what it means
        for the endpoint when the caller is cancelled meanwhile; nothing, as a rule.
        """
        attempts = self._attempts()
        while endpoint := attempts.next():
            try:
                with self._attempt(endpoint, given_up) as first_token:
                    reply = self._read(read, await self._wire.ask(_url(endpoint, path), body, limit))
                    first_token()
                    return Replied(endpoint=endpoint, reply=reply)
            except EndpointFaultError as error:
                attempts.failed(endpoint, error.fault)
        raise attempts.error()

    async def stream(
        self, path: str, body: Body, plan: StreamPlan[T], *, rules: FieldRules = NO_RULES
    ) -> AsyncGenerator[Streamed[T], None]:
        """The items of a reply that comes as server-sent events, from its first token on.

        An endpoint that does not take a field of `body` is sent what `rules` make of it. Close the iterator (`aclosing`)
        to have the server stop. Raises `TransientError` when the reply breaks off after its first token.
        """
        attempts = self._attempts()
        while endpoint := attempts.next():
            begun = False
            try:
                with self._attempt(endpoint) as first_token:
                    async with aclosing(self._streamed(endpoint, path, body, plan, rules)) as items:
                        async for item in items:
                            if not begun:
                                first_token()
                            begun = True
                            yield Streamed(endpoint=endpoint, item=item)
            except EndpointFaultError as error:
                if begun:
                    raise self._broken_off(endpoint, error) from error
                attempts.failed(endpoint, error.fault)
            else:
                return
        raise attempts.error()

    async def ask(
        self, endpoint: Endpoint, path: str, body: Body | None = None, *, limit: TimeLimit, root: bool = False
    ) -> JsonValue:
        """Ask one endpoint something about itself: GET, or POST with a body. It is neither balanced nor counted.

        A lost connection is made anew once. Raises `EndpointFaultError`.
        """
        url = _url(endpoint, path, root=root)
        try:
            return await self._wire.ask(url, body, limit)
        except EndpointFaultError as error:
            if not error.fault.again:
                raise
        return await self._wire.ask(url, body, limit)

    async def look(self) -> None:
        """Probe all endpoints at once; the first that answers suffices. Raises `TransientError` if none does.

        Those that said they have too much to do are left alone while they rest: while all do, requests wait.

        Whoever looks has requests waiting: when no endpoint is in use, the one that answered is from now on.
        """
        asked = [e for e in self.endpoints if e.state not in {EndpointState.DRAINING, EndpointState.RESTING}]
        answered = await self._prober.first_that_passes(asked)
        if answered is None:
            raise self._attempts().error()
        if not any(endpoint.usable for endpoint in asked):
            answered.bring_back()

    async def _probe(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for endpoint in self.endpoints:
                tasks.create_task(self._prober.run(endpoint), name=f"probe {endpoint.url}")

    async def _streamed(
        self, endpoint: Endpoint, path: str, body: Body, plan: StreamPlan[T], rules: FieldRules
    ) -> AsyncGenerator[T, None]:
        """Ask again without the fields that a refusal may be meant for: each time there are fewer."""
        refused, begun = self._fields.refused(endpoint), False
        while True:
            events = self._wire.events(_url(endpoint, path), rules.applied(body, refused), plan)
            try:
                async with aclosing(events) as items:
                    async for item in items:
                        if not begun:
                            self._fields.answered(endpoint, refused)
                        begun = True
                        yield item
            except EndpointFaultError as error:
                more = self._fields.more(endpoint, error.fault, body, rules, refused)
                if begun or not more:
                    raise
                refused |= more
            else:
                return

    def _read(self, read: Callable[[JsonValue], T], body: JsonValue) -> T:
        try:
            return read(body)
        except StrangeReplyError as error:
            raise EndpointFaultError(strange(error, self.purpose)) from error

    @contextmanager
    def _attempt(self, endpoint: Endpoint, given_up: GivenUp | None = None) -> Iterator[Callable[[], None]]:
        """Count one attempt. One that its caller ends early says nothing about the endpoint, unless `given_up` does."""
        started = time.perf_counter()

        def first_token() -> None:
            endpoint.first_token_after(time.perf_counter() - started)
            self.figures.first_token(endpoint, time.perf_counter() - started)

        error: str | None = "cancelled"
        endpoint.begin()
        try:
            yield first_token
            endpoint.succeeded()
            error = None
        except EndpointFaultError as faulted:
            endpoint.faulted(faulted.fault)
            error = faulted.fault.label
            raise
        except asyncio.CancelledError:
            if given_up is not None and time.perf_counter() - started >= given_up.after_s:
                endpoint.faulted(given_up.fault)
            raise
        finally:
            endpoint.end()
            self.figures.operation(endpoint, time.perf_counter() - started, error=error)

    def _attempts(self) -> Attempts:
        return Attempts(self.endpoints, self._balancer, self.purpose, standbys_first=self._standbys_first)

    def _broken_off(self, endpoint: Endpoint, error: EndpointFaultError) -> TransientError:
        return TransientError(f"the answer was broken off: {endpoint.url} {error.fault.reason}", code=self.purpose.code)

    def _at(self, url: str) -> Endpoint:
        found = next((endpoint for endpoint in self.endpoints if endpoint.url == url.rstrip("/")), None)
        if found is None:
            raise KeyError(f"{url} is none of the endpoints of {self.purpose.setting('ENDPOINTS')}")
        return found


def _url(endpoint: Endpoint, path: str, *, root: bool = False) -> str:
    return f"{endpoint.address.root if root else endpoint.url}{path}"
