"""The broker's time. Deadlines are judged by it, so that a host with a wrong clock fails nothing."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import nats.errors
from nats.aio.client import Client

from messaging.errors import BrokerUnavailableError

DRIFT = 1e-4
"""How fast a clock may drift from the broker's (100 ppm): what an older sample loses in worth."""

_ANY_STREAM = "$JS.API.STREAM.INFO.EVENTS"
"""Every reply about an existing stream carries `ts`; the account's own info does not."""


class BrokerClock:
    """Tells the broker's time from the `ts` of JetStream API replies.

    Between samples it advances with the local monotonic clock, which no one sets. A sample is off by at most half its
    round trip; it replaces the current one when it is at least as exact, or when the two cannot both be right.
    """

    def __init__(self, nc: Client, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._nc = nc
        self._monotonic = monotonic
        self._offset_s: float | None = None
        self._uncertainty_s = 0.0
        self._sampled_at = 0.0

    @property
    def synchronised(self) -> bool:
        return self._offset_s is not None

    def now(self) -> datetime:
        """The broker's time (UTC). Until the first sample it is this host's."""
        if self._offset_s is None:
            return datetime.now(UTC)
        return datetime.fromtimestamp(self._monotonic() + self._offset_s, UTC)

    def now_ms(self) -> int:
        """The same in milliseconds since 1970."""
        return round(self.now().timestamp() * 1000)

    @property
    def host_ahead_s(self) -> float:
        """How far this host's clock is ahead of the broker's, in seconds; negative when it is behind."""
        return (datetime.now(UTC) - self.now()).total_seconds()

    def remaining_s(self, deadline: datetime) -> float:
        """Seconds left until `deadline`, negative when it has passed."""
        return (deadline - self.now()).total_seconds()

    def at_monotonic(self, moment: datetime) -> float:
        """The reading of the local monotonic clock at the broker's `moment`."""
        return self._monotonic() + self.remaining_s(moment)

    async def sync(self, *, timeout_s: float = 5.0) -> None:
        """Take a sample. Raises `BrokerUnavailableError` when the broker does not answer."""
        sent = self._monotonic()
        try:
            reply = await self._nc.request(_ANY_STREAM, timeout=timeout_s)
        except (nats.errors.Error, OSError) as error:
            raise BrokerUnavailableError(f"the broker's time cannot be read: {error}") from error
        self.learn(json.loads(reply.data), sent=sent, received=self._monotonic())

    def learn(self, reply: Mapping[str, Any], *, sent: float, received: float) -> None:
        """Use the `ts` of a JetStream API reply, if it has one; `sent` and `received` are local monotonic readings."""
        ts = reply.get("ts")
        if isinstance(ts, str):
            self._adopt(parse_time(ts).timestamp() - (sent + received) / 2, (received - sent) / 2, received)

    def _adopt(self, offset_s: float, uncertainty_s: float, at: float) -> None:
        if self._offset_s is not None:
            current = self._uncertainty_s + DRIFT * (at - self._sampled_at)
            compatible = abs(offset_s - self._offset_s) <= uncertainty_s + current
            if compatible and uncertainty_s > current:
                return
        self._offset_s, self._uncertainty_s, self._sampled_at = offset_s, uncertainty_s, at


def parse_time(text: str) -> datetime:
    """A broker's RFC 3339 time with up to nine decimals, cut to microseconds."""
    moment, _, fraction = text.removesuffix("Z").partition(".")
    whole = datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return whole + timedelta(microseconds=int(fraction[:6].ljust(6, "0"))) if fraction else whole
