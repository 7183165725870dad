"""When the work on a message must have ended, in the broker's time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts import subjects
from contracts.message import Message
from contracts.queries import DEFAULT_DEADLINE_S, MAX_DEADLINE_S
from messaging.delivery import Delivery


def budget_s(headers: Mapping[str, str]) -> float:
    """The time budget of a query from its headers, in seconds.

    A missing or unreadable header means the default; nobody gets more than `MAX_DEADLINE_S`.
    """
    try:
        given = float(headers[subjects.HEADER_BUDGET_MS]) / 1000.0
    except (KeyError, ValueError):
        return DEFAULT_DEADLINE_S
    return DEFAULT_DEADLINE_S if math.isnan(given) else min(max(given, 0.0), MAX_DEADLINE_S)


def budget_deadline(_: Message, delivery: Delivery) -> datetime:
    """The deadline of a query request: the broker's time of the message plus its budget."""
    return delivery.published_at + timedelta(seconds=budget_s(delivery.headers))
