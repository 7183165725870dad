"""Since when each cause has been looked for without a break."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from contracts.diagnoses import Cause, DiagnosesView


class Sight:
    """Begins anew for every cause after a time in which nothing was heard or looked at, and for one that could not be judged.

    One for a term: what was not looked at by who led before is not known.
    """

    def __init__(self, longest_gap: timedelta) -> None:
        self._longest_gap = longest_gap
        self._since: dict[Cause, datetime] = {}
        self._last: datetime | None = None

    def look(self, view: DiagnosesView, *, hears: bool) -> Mapping[Cause, datetime]:
        """Take note of a look, by its time."""
        if not hears or self._last is None or view.at - self._last > self._longest_gap:
            self._since = {}
        self._last = view.at
        for cause in Cause:
            if not hears or cause in view.unjudged:
                self._since.pop(cause, None)
            else:
                self._since.setdefault(cause, view.at)
        return dict(self._since)
