"""The silences that are in force."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

from contracts.silences import Silence
from observability.notifications.matchers import Matchers

MAX_SILENCES = 1000


class Silences:
    """What people have silenced; the observer keeps it as the bucket `silences` is."""

    def __init__(self, silences: Iterable[Silence] = ()) -> None:
        self._by_id: dict[str, tuple[Silence, Matchers]] = {}
        for silence in silences:
            self.put(silence)

    def put(self, silence: Silence) -> None:
        """Add or replace one. Raises `ValueError` for one that would silence everything, has a regular expression that is not
        valid, or is one too many; what was in force stays so.
        """
        matchers = Matchers(silence.matchers)
        if matchers.accept_anything():
            raise ValueError("matches alerts that have none of its labels: at least one matcher has to need its label")
        if silence.id not in self._by_id and len(self._by_id) >= MAX_SILENCES:
            raise ValueError(f"there are {MAX_SILENCES} silences already; remove some that are over")
        self._by_id[silence.id] = (silence, matchers)

    def remove(self, silence_id: str) -> None:
        self._by_id.pop(silence_id, None)

    def forget_ended(self, now: datetime) -> None:
        self._by_id = {key: pair for key, pair in self._by_id.items() if pair[0].ends_at > now}

    def in_force(self, now: datetime) -> tuple[Silence, ...]:
        """All that hold at this moment."""
        return tuple(each for each, _ in self._by_id.values() if each.starts_at <= now < each.ends_at)

    def silencing(self, labels: Mapping[str, str], now: datetime) -> Silence | None:
        """One silence that is in force for these labels, or None."""
        return next(
            (
                silence
                for silence, matchers in self._by_id.values()
                if silence.starts_at <= now < silence.ends_at and matchers.accept(labels)
            ),
            None,
        )
