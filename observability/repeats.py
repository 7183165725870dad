"""Says now and then what would otherwise be said over and over."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from collections.abc import Callable

AGAIN_AFTER_S = 60.0
MOST_REMEMBERED = 128


class Repeats(logging.Filter):
    """Lets a line of the loggers under `name` through once a minute; all other lines pass."""

    def __init__(self, name: str, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._prefix = f"{name}."
        self._monotonic = monotonic
        self._said: OrderedDict[tuple[str, str], float] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if not record.name.startswith(self._prefix):
            return True
        line, now = (record.name, str(record.msg)), self._monotonic()
        if now < self._said.get(line, -AGAIN_AFTER_S) + AGAIN_AFTER_S:
            return False
        self._said[line] = now
        self._said.move_to_end(line)
        if len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)
        return True


def is_power_of_ten(number: int) -> bool:
    """Whether something that happened `number` times is worth a line: the first time, the tenth, the hundredth and so on."""
    digits = str(number)
    return digits[0] == "1" and not digits[1:].strip("0")
