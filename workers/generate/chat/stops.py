"""Stop sequences, for servers that do not know them."""

from __future__ import annotations

from collections.abc import Sequence


class StopGate:
    """Ends a reply before the first of `stops`, which is then `reached`. Text is held back while it may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = [stop for stop in stops if stop]
        self._held = ""
        self.reached = False

    def feed(self, text: str) -> str:
        """What can be said now that `text` has come."""
        self._held += text
        found = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        self.reached = bool(found)
        until = min(found) if found else len(self._held) - self._begun()
        said, self._held = self._held[:until], "" if found else self._held[until:]
        return said

    def finish(self) -> str:
        """What was held back to the end."""
        held, self._held = self._held, ""
        return held

    def _begun(self) -> int:
        """How much of the end of what is held may be the beginning of a stop."""
        longest = len(self._held)
        beginnings = (stop[:length] for stop in self._stops for length in range(1, min(len(stop), longest + 1)))
        return max((len(begun) for begun in beginnings if self._held.endswith(begun)), default=0)
