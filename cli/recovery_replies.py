"""What the gateway answers about people's answers to decisions."""

from __future__ import annotations

from datetime import datetime

from cli.replies import Reply


class Answered(Reply):
    """The answer that counts."""

    decision: str
    incident: str | None = None
    approved: bool
    reason: str = ""
    at: datetime | None = None
