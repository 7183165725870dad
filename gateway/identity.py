"""Who asks: decided here and nowhere else, never by a body or a free header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends

from contracts.identifiers import ANONYMOUS, DEFAULT_TENANT
from observability.request_context import name_tenant


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The tenant whose data a request may touch, and the principal it is done for."""

    tenant: str
    principal: str


async def identify() -> Identity:
    """The identity of a request. There are no keys yet: everybody on this host is the default tenant's anonymous.

    A coroutine, since the framework sends plain functions to a thread.
    """
    name_tenant(DEFAULT_TENANT)
    return Identity(tenant=DEFAULT_TENANT, principal=ANONYMOUS)


Identified = Annotated[Identity, Depends(identify)]
