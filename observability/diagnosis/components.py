"""Which service does the work of a consumer, and which services work on questions."""

from __future__ import annotations

from typing import Final

from observability.diagnosis.signals import Measure, Signals

GATEWAY: Final = "gateway"
RETRIEVE: Final = "retrieve"
GENERATE: Final = "generate"
ON_QUESTIONS: Final = frozenset({GATEWAY, RETRIEVE, GENERATE})

GROUP: Final = "messaging_consumer_group_name"

WORK: Final = Measure(
    what="messages handled",
    expression=f"sum by (service, {GROUP}) (messaging_process_duration_seconds_count)",
    rests_on="messaging_process_duration_seconds_count",
    by=("service", GROUP),
)
ALIVE: Final = Measure(
    what="instances alive", expression="waggle_service_alive", rests_on="waggle_service_alive", by=("service",)
)


class ConsumerServices:
    """By what processes measure of their work; a consumer whose work nobody has measured is told by its name."""

    def __init__(self, signals: Signals) -> None:
        self._measured = {
            reading.labels.get(GROUP, ""): reading.labels.get("service", "") for reading in signals.read(WORK)
        }
        self._services = [reading.labels.get("service", "") for reading in signals.read(ALIVE)]

    def of(self, consumer: str) -> str:
        """The service; the consumer's own name where nothing tells."""
        if service := self._measured.get(consumer):
            return service
        return next((each for each in self._services if consumer == each or consumer.startswith(f"{each}-")), consumer)
