"""Requests to the broker's own API: what streams and consumers hold and how they stand, and removing messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import nats.errors

from messaging.broker import Broker
from messaging.cancelling import heeding_cancellation
from messaging.errors import BrokerUnavailableError, UnansweredError
from messaging.repeating import repeated
from messaging.stored import unreadable

ERR_NOT_NOW = 10008


class JetStreamApi:
    """Asks anew every second: while a new leader is elected nobody answers, or somebody that it cannot be done now.

    So a request must do no harm when it is carried out twice.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    async def ask(self, request: str, stream: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The reply to a request, named as in `$JS.API.<request>`; it may hold an `error`.

        `stream` is for the error: raises `BrokerUnavailableError` when nobody answers within the publish time-out.
        """
        data = json.dumps(body or {}).encode()
        return await repeated(
            lambda timeout_s: self._once(request, stream, data, timeout_s),
            within_s=self._broker.publish_timeout_s,
        )

    async def told(self, request: str, stream: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """As `ask`, and raises `BrokerUnavailableError` for an `error` as well."""
        reply = await self.ask(request, stream, body)
        if "error" in reply:
            raise refused(stream, reply["error"])
        return reply

    async def _once(self, request: str, stream: str, data: bytes, timeout_s: float) -> dict[str, Any]:
        try:
            asked = self._broker.nc.request(f"$JS.API.{request}", data, timeout=timeout_s)
            reply: dict[str, Any] = json.loads((await heeding_cancellation(asked)).data)
        except nats.errors.TimeoutError as error:
            raise self._unanswered(stream, "no answer") from error
        except (nats.errors.Error, OSError) as error:
            raise unreadable(stream, error) from error
        if reply.get("error", {}).get("err_code") == ERR_NOT_NOW:
            raise self._unanswered(stream, described(reply["error"]))
        return reply

    def _unanswered(self, stream: str, why: str) -> UnansweredError:
        return UnansweredError(f"{stream} cannot be read: {why} within {self._broker.publish_timeout_s:g} s")


def refused(stream: str, error: Mapping[str, Any]) -> BrokerUnavailableError:
    """The error for the `error` of a reply."""
    return unreadable(stream, described(error))


def described(error: Mapping[str, Any]) -> str:
    """What the broker says of an `error`."""
    return str(error.get("description", "unknown"))
