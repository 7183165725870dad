"""From what the fleet tells to series: heartbeats, samples, life-cycle facts, advisories and facts of the broker."""

from observability.intake.broker_facts import BrokerFacts, ConsumerFacts, StreamFacts
from observability.intake.catalogue import CATALOGUE
from observability.intake.intake import JUDGE_INTERVAL_S, Intake

__all__ = [
    "CATALOGUE",
    "JUDGE_INTERVAL_S",
    "BrokerFacts",
    "ConsumerFacts",
    "Intake",
    "StreamFacts",
]
