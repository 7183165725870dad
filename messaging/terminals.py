"""The arbiter: how a query ends, exactly once.

Anybody may try to end a query. The stream TERMINALS takes one message per subject and refuses every later one, so the
first terminal is the terminal; the broker itself copies it to the answer subject, where readers see no other.
"""

from __future__ import annotations

import asyncio

from pydantic import ValidationError

from contracts import subjects, topology
from contracts.answers import TERMINAL, Cancelled, Completed, Failed
from contracts.errors import ErrorCode
from contracts.identifiers import digest
from messaging.broker import Broker
from messaging.errors import BrokerUnavailableError, SubjectTakenError
from messaging.storage import Storage

LOOKS, LOOK_S = 20, 0.05
"""How often and how far apart a terminal is looked for that another one was refused for."""

AnyTerminal = Completed | Failed | Cancelled


class Terminals:
    """Ends queries and tells how they ended."""

    def __init__(self, broker: Broker, *, storage: Storage | None = None) -> None:
        self._broker = broker
        self._storage = storage or Storage(broker)

    async def end(self, terminal: AnyTerminal) -> bool:
        """End a query. True when this very terminal is the stored one, False when another was earlier: both are success.

        Raises `BrokerUnavailableError` when that is not known; ending it again is then right. Raises `StreamFullError`
        when the stream has no room for any terminal.
        """
        subject = subjects.terminal(terminal.tenant, terminal.query_id)
        payload = terminal.to_bytes()
        message_id = f"{terminal.tenant}.{terminal.query_id}.{digest(payload)[:32]}"
        headers = {subjects.HEADER_MESSAGE_ID: message_id}
        try:
            await self._broker.publish_bytes(subject, payload, stream=topology.TERMINALS.name, headers=headers)
        except SubjectTakenError:
            return await self._stored(terminal.tenant, terminal.query_id) == terminal
        return True

    async def find(self, tenant: str, query_id: str) -> AnyTerminal | None:
        """How a query ended, or None while it has not (or after its terminal has aged out)."""
        stored = await self._storage.last(topology.TERMINALS.name, subjects.terminal(tenant, query_id))
        return read_terminal(stored.data, tenant, query_id) if stored else None

    async def _stored(self, tenant: str, query_id: str) -> AnyTerminal:
        """The terminal that was earlier. A leader refuses others as soon as it has one, before its replicas have it."""
        for _ in range(LOOKS):
            if (stored := await self.find(tenant, query_id)) is not None:
                return stored
            await asyncio.sleep(LOOK_S)
        raise BrokerUnavailableError(f"query {query_id} is said to have ended, but its terminal is not stored yet")


def read_terminal(data: bytes, tenant: str, query_id: str) -> AnyTerminal:
    """The terminal in these bytes. The query has ended even if they cannot be read: then it is `Failed`, saying so."""
    try:
        return TERMINAL.validate_json(data)
    except ValidationError as error:
        return Failed(
            tenant=tenant,
            query_id=query_id,
            code=ErrorCode.INVALID_MESSAGE,
            message=f"The query has ended, but its end cannot be read ({error.error_count()} fields are wrong): "
            "ask again, or upgrade the reader if a newer release wrote it.",
            retryable=True,
        )
