"""Which diagnoses somebody asks for: read alike by who forwards a question and who answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Self

from contracts.observing import Parameters
from observability.alert_questions import moment

AT: Final = "at"
SINCE: Final = "since"


@dataclass(frozen=True, kw_only=True)
class DiagnosisQuestion:
    """Of now, of the moment `at`, or the history `since` a moment."""

    at: datetime | None = None
    since: datetime | None = None

    @classmethod
    def of(cls, parameters: Parameters) -> Self:
        """Raises `ValueError` that names the parameter which is wrong."""
        at, since = _moment(AT, parameters), _moment(SINCE, parameters)
        if at is not None and since is not None:
            raise ValueError("since: asks for the history, and has no meaning with at")
        return cls(at=at, since=since)


def _moment(name: str, parameters: Parameters) -> datetime | None:
    text = next((value for value in reversed(parameters.get(name, ())) if value), None)
    if text is None:
        return None
    try:
        return moment(text)
    except ValueError as error:
        raise ValueError(f"{name}: {text!r} is no time such as 2026-01-31T12:00:00Z or 1769860800 ({error})") from None
