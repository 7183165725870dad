"""What is looked for: a file for each cause."""

from observability.diagnosis.causes.backend_lost import BackendConnectionLost
from observability.diagnosis.causes.backlog import BacklogGrowing
from observability.diagnosis.causes.bad_release import BadRelease
from observability.diagnosis.causes.disk import DiskFilling
from observability.diagnosis.causes.error_rate import HighErrorRate
from observability.diagnosis.causes.failing_work import FailingWork
from observability.diagnosis.causes.memory_leak import MemoryLeak
from observability.diagnosis.causes.poison import PoisonMessage
from observability.diagnosis.causes.response_time import HighResponseTime
from observability.diagnosis.causes.slow_consumer import SlowConsumer
from observability.diagnosis.causes.unavailable import ServiceUnavailable

__all__ = [
    "BackendConnectionLost",
    "BacklogGrowing",
    "BadRelease",
    "DiskFilling",
    "FailingWork",
    "HighErrorRate",
    "HighResponseTime",
    "MemoryLeak",
    "PoisonMessage",
    "ServiceUnavailable",
    "SlowConsumer",
]
