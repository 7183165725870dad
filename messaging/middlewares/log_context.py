"""Says on every log line about a delivery whose it is."""

from __future__ import annotations

from typing import Any

from contracts import subjects
from messaging.delivery import Incoming
from messaging.middlewares.base import Next
from observability.request_context import valid_request_id, working_on


class LogContext:
    """Names the tenant and the request that a message goes back to; without one, its query."""

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        headers = incoming.delivery.headers
        given = headers.get(subjects.HEADER_REQUEST_ID) or headers.get(subjects.HEADER_QUERY_ID)
        with working_on(valid_request_id(given), tenant=incoming.delivery.tenant):
            await call_next(incoming)
