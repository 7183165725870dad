"""Routes that are documented by FastAPI and called without it."""

from __future__ import annotations

from typing import Any

from fastapi.routing import APIRoute
from starlette.routing import request_response


class DirectRoute(APIRoute):
    """Calls its endpoint with the request alone, and sends the response that it returns.

    Resolving declared parameters would cost every question a quarter of a millisecond.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.app = request_response(self.endpoint)
