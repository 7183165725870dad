"""The health of the fleet's components, from heartbeats, broker facts and the expected set. No data is never healthy."""

from observability.health.fleet import FleetHealth, Observed
from observability.health.history import HealthSeries, changes, last_known
from observability.health.questions import HealthQuestion
from observability.health.verdicts import BrokerNews, Verdict, backend_verdict, broker_verdict, overall, service_verdict

__all__ = [
    "BrokerNews",
    "FleetHealth",
    "HealthQuestion",
    "HealthSeries",
    "Observed",
    "Verdict",
    "backend_verdict",
    "broker_verdict",
    "changes",
    "last_known",
    "overall",
    "service_verdict",
]
