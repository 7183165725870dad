"""How long a failed message waits, and how often it is tried."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

from contracts import topology
from contracts.errors import NewerSchemaError, TransientError

FIRST_DELAY_S = 0.5
MAX_DELAY_S = 30.0
JITTER = 0.2
"""Delays are spread by this share to either side, so that what failed together is not retried together."""
NEWER_SCHEMA_DELAY_S = 10.0
"""A rolling upgrade takes minutes; asking faster only uses up the attempts."""


def handler_attempts(consumer: topology.Consumer) -> float:
    """How often a message is handed to the handler; infinite where deliveries are unlimited.

    The last delivery of a consumer is kept back: a message that reaches it never came to an end (the process died each
    time), or could not be dead-lettered before, and is dead-lettered without being tried again.
    """
    if consumer.max_deliver < 1:
        return math.inf
    return min(consumer.attempts, max(1, consumer.max_deliver - 1))


@dataclass(frozen=True, kw_only=True)
class RetryDelays:
    """Delays double from `first_s` to `max_s`; an error's own `retry_after_s` wins."""

    first_s: float = FIRST_DELAY_S
    max_s: float = MAX_DELAY_S
    random: random.Random = field(default_factory=random.Random, compare=False)

    def delay_s(self, error: BaseException, *, attempt: int) -> float:
        """Seconds to wait before delivery `attempt + 1`."""
        if isinstance(error, TransientError) and error.retry_after_s is not None:
            return error.retry_after_s
        if isinstance(error, NewerSchemaError):
            return self._spread(min(NEWER_SCHEMA_DELAY_S, self.max_s))
        return self._spread(min(self.max_s, self.first_s * 2.0 ** min(attempt - 1, 16)))

    def _spread(self, delay_s: float) -> float:
        return delay_s * self.random.uniform(1 - JITTER, 1 + JITTER)
