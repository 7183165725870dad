"""What is wrong inside processes at the moment: files that the harness and its processes share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path


class Switch(StrEnum):
    MUTE = "mute"  # no heartbeat is sent
    HANGS = "hangs"  # handlers that embed do not return
    SLOW_ENCODER = "slow-encoder"  # a batch takes seconds longer
    LEAKS = "leaks"  # every heartbeat keeps some MiB more
    SLOW_SEARCH = "slow-search"  # a search takes seconds longer


class Switches:
    """The folder of switches. One is on for a single instance, or for all that mind it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def turn_on(self, switch: Switch, instance: str = "") -> None:
        self._file(switch, instance).touch()

    def turn_off(self, switch: Switch, instance: str = "") -> None:
        self._file(switch, instance).unlink(missing_ok=True)

    def is_on(self, switch: Switch, instance: str) -> bool:
        return self._file(switch, "").exists() or self._file(switch, instance).exists()

    @contextmanager
    def on(self, switch: Switch, instance: str = "") -> Iterator[None]:
        """While the body runs."""
        self.turn_on(switch, instance)
        try:
            yield
        finally:
            self.turn_off(switch, instance)

    def _file(self, switch: Switch, instance: str) -> Path:
        return self._folder / f"{switch}.{instance or 'all'}.on"
