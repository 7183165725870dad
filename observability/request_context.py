"""Which request is being worked on: for every log line about it, and to tell whoever works on it next."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from contracts.identifiers import TOKEN

REQUEST_ID = "request_id"
TENANT = "tenant"


@contextmanager
def working_on(request_id: str | None, *, tenant: str | None = None) -> Iterator[None]:
    """Name the request, and the tenant if it is known, on all that is logged in the body."""
    named = {name: value for name, value in ((REQUEST_ID, request_id), (TENANT, tenant)) if value}
    with structlog.contextvars.bound_contextvars(**named):
        yield


def name_tenant(tenant: str) -> None:
    """Name the tenant from now on, in the task that runs."""
    structlog.contextvars.bind_contextvars(**{TENANT: tenant})


def current_request_id() -> str | None:
    """The request that is being worked on, None if there is none."""
    found = structlog.contextvars.get_contextvars().get(REQUEST_ID)
    return found if isinstance(found, str) else None


def valid_request_id(given: str | None) -> str | None:
    """`given` if it can be a request id, otherwise None: it comes from outside, and goes into headers and logs."""
    return given if given is not None and TOKEN.fullmatch(given) else None
