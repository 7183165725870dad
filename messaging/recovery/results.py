"""What became of a command, said once."""

from __future__ import annotations

from contracts import subjects, topology
from contracts.identifiers import derived_id
from contracts.recovery import RecoveryResult
from messaging.broker import Broker
from messaging.buckets import ERR_WRONG_LAST, HEADER_EXPECTED_LAST
from messaging.errors import PublishRefusedError
from messaging.storage import Storage


class RecoveryResults:
    """Everything raises `BrokerUnavailableError` when the broker is away."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._storage = Storage(broker)

    async def find(self, command_id: str) -> RecoveryResult | None:
        """The result of a command, None while there is none. Raises `InvalidMessageError` for what is none."""
        stored = await self._storage.last(topology.OPS.name, subjects.recovery_result(command_id))
        return None if stored is None else RecoveryResult.from_bytes(stored.data)

    async def publish(self, result: RecoveryResult) -> None:
        """Say it, unless there is a result already: the first one counts."""
        try:
            await self._broker.publish(
                subjects.recovery_result(result.id),
                result,
                stream=topology.OPS,
                message_id=derived_id("result", result.id),
                headers={HEADER_EXPECTED_LAST: "0"},
            )
        except PublishRefusedError as error:
            if error.err_code not in ERR_WRONG_LAST:
                raise
