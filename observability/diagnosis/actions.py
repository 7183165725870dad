"""What might help against which cause, the mildest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from contracts.diagnoses import Cause, RecommendedAction

ACTIONS: Final[Mapping[Cause, tuple[RecommendedAction, ...]]] = {
    Cause.HIGH_RESPONSE_TIME: (RecommendedAction.CLEAR_CACHE, RecommendedAction.SCALE_UP),
    Cause.HIGH_ERROR_RATE: (RecommendedAction.RESTART_SERVICE, RecommendedAction.ROLLBACK),
    Cause.MEMORY_LEAK: (RecommendedAction.RESTART_SERVICE,),
    Cause.BACKEND_CONNECTION_LOST: (RecommendedAction.RESTART_SERVICE, RecommendedAction.FAILOVER),
    Cause.SERVICE_UNAVAILABLE: (RecommendedAction.FAILOVER, RecommendedAction.RESTART_SERVICE),
    Cause.BACKLOG_GROWING: (RecommendedAction.SCALE_UP,),
    Cause.BAD_RELEASE: (RecommendedAction.ROLLBACK,),
    Cause.POISON_MESSAGE: (RecommendedAction.CALL_PERSON,),
    Cause.DISK_FILLING: (RecommendedAction.CALL_PERSON,),
    Cause.SLOW_CONSUMER: (RecommendedAction.CALL_PERSON,),
}
