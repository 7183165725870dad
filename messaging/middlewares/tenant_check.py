"""Refuses a body that names another tenant than its subject."""

from __future__ import annotations

from typing import Any

from contracts.errors import ErrorCode, PermanentError
from messaging.delivery import Incoming
from messaging.middlewares.base import Next


class TenantCheck:
    """Permissions are granted per subject, so the subject's tenant is the true one. Raises `PermanentError`."""

    async def __call__(self, incoming: Incoming[Any], call_next: Next) -> None:
        claimed = getattr(incoming.message, "tenant", incoming.delivery.tenant)
        if claimed != incoming.delivery.tenant:
            raise PermanentError(
                f"the body names tenant {claimed}, the subject {incoming.delivery.subject}: "
                "publish on the subject of the tenant in the body",
                code=ErrorCode.TENANT_MISMATCH,
            )
        await call_next(incoming)
