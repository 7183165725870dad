"""What somebody asks about health: read alike by who forwards a question and who answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from contracts.observing import Parameters
from observability.alert_questions import moment

SINCE: Final = "since"


@dataclass(frozen=True, kw_only=True)
class HealthQuestion:
    """The health of now; with `since`, a time, also what has changed since then."""

    since: datetime | None

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Raises `ValueError` that names the parameter which is wrong."""
        text = next((value for value in parameters.get(SINCE, ()) if value), None)
        if text is None:
            return cls(since=None)
        try:
            return cls(since=moment(text))
        except ValueError as error:
            raise ValueError(f"{SINCE}: {text!r} is no time such as 2026-01-31T12:00:00Z ({error})") from None
