"""How many requests a caller may make: counted by its address before anybody looks at a key, then by its key and its tenant."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from opentelemetry.metrics import Meter
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contracts.errors import TransientError
from contracts.gateway_settings import GatewaySettings
from contracts.identifiers import derived_id
from contracts.rate_limits import RateWindow, windows_of
from gateway import problems
from gateway.identity import OPEN, identity_of
from gateway.problems import Problem
from messaging.rate_limits import Left

if TYPE_CHECKING:
    from gateway.backend import Link

_NETWORK_BITS: Final = 64
"""Of an IPv6 address: whoever has one has as many as there are in such a network."""
_RATES: Final = "rates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who is counted under which name, and what it is allowed."""

    name: str
    subject: str
    windows: tuple[RateWindow, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """What a policy left a request."""

    policy: Policy
    left: Left

    @property
    def share(self) -> float:
        return self.left.remaining / self.left.window.requests


class Rates:
    """What is allowed to whom: by the settings, or else by what was agreed."""

    def __init__(self, settings: GatewaySettings, link: Link, *, meter: Meter) -> None:
        self._settings = settings
        self._link = link
        self._refused = meter.create_counter(
            "waggle.rate_limits.refused", description="Requests refused since a limit was reached, by policy."
        )

    def of_address(self, scope: Scope) -> list[Policy]:
        host = network_of((scope.get("client") or ("",))[0])
        return _policies(("address", host, self._settings.address_rate_limit))

    def of_caller(self, scope: Scope) -> list[Policy]:
        backend, identity = self._link.backend, identity_of(scope)
        if backend is None:
            return []
        own, agreed = backend.admitted.rate_limit(identity), backend.tenants.of(identity.tenant).rate_limit
        return _policies(
            ("key", identity.principal, self._settings.key_rate_limit if own is None else own),
            ("tenant", identity.tenant, self._settings.tenant_rate_limit if agreed is None else agreed),
        )

    async def take(self, policies: Iterable[Policy]) -> list[Rate]:
        """Count a request under each. Raises a 429 problem for the first that does not let it in, and a 503 one where that cannot
        be known.
        """
        backend, rates = self._link.backend, list[Rate]()
        if backend is None:  # nobody gets further
            return rates
        for policy in policies:
            try:
                left = await backend.allowances.take(policy.subject, policy.windows)
            except TransientError as error:
                raise problems.of_transient(error) from None
            rates.append(Rate(policy=policy, left=left))
            if not left.let_in:
                self._refused.add(1, {"waggle.policy": policy.name})
                raise _too_many(policy, left)
        return rates


class Turnstile:
    """Lets in what `of` finds to be within its limits. The outermost one tells of all of them in the head of the response."""

    def __init__(self, app: ASGIApp, *, rates: Rates, before_door: bool) -> None:
        self._app = app
        self._rates = rates
        self._before_door = before_door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in OPEN:
            await self._app(scope, receive, send)
            return
        if self._before_door:
            send = _telling(scope, send)
        policies = self._rates.of_address(scope) if self._before_door else self._rates.of_caller(scope)
        try:
            taken = await self._rates.take(policies) if policies else []
        except Problem as refusal:
            await refusal.response(scope["path"])(scope, receive, send)
            return
        if taken:
            scope.setdefault("state", {}).setdefault(_RATES, []).extend(taken)
        await self._app(scope, receive, send)


def network_of(host: str) -> str:
    """An address as it is counted: of IPv6 its network, of IPv4 in IPv6 the address in it. What is none stands for itself."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, _NETWORK_BITS), strict=False))
    return str(address)


def _policies(*limits: tuple[str, str, str]) -> list[Policy]:
    return [
        Policy(name=name, subject=f"{name}.{derived_id(who)}", windows=windows)
        for name, who, text in limits
        if (windows := windows_of(text))
    ]


def _telling(scope: Scope, send: Send) -> Send:
    """Adds what is left by the tightest limit, unless the response says already why it refuses."""

    async def told(message: Message) -> None:
        if message["type"] == "http.response.start":
            rates = cast("list[Rate]", scope.get("state", {}).get(_RATES, []))
            headers = MutableHeaders(scope=message)
            if rates and "RateLimit" not in headers:
                headers["RateLimit-Policy"] = ", ".join(_quota(rate.policy, rate.policy.windows) for rate in rates)
                tightest = min(rates, key=lambda rate: rate.share)
                headers["RateLimit"] = _state(tightest.policy, tightest.left)
        await send(message)

    return told


def _quota(policy: Policy, windows: Sequence[RateWindow]) -> str:
    return ", ".join(f'"{_named(policy, each)}";q={each.requests};w={each.span_s}' for each in windows)


def _state(policy: Policy, left: Left) -> str:
    return f'"{_named(policy, left.window)}";r={left.remaining};t={math.ceil(left.wait_s)}'


def _named(policy: Policy, window: RateWindow) -> str:
    return f"{policy.name}-{window.span_s}s"


def _too_many(policy: Policy, left: Left) -> Problem:
    window, retry_after_s = left.window, max(1, math.ceil(left.wait_s))
    return problems.too_many(
        f"{window.requests} requests in {window.span_s} s are what this {policy.name} may make, and it has made them: nothing was "
        f"accepted. Ask again after {retry_after_s} s.",
        policy=_named(policy, window),
        allowed=window.requests,
        window_s=window.span_s,
        retry_after_s=retry_after_s,
    )
