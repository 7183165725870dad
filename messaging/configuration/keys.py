"""Where revisions lie in the bucket `config`.

`runtime.current`     the current revision; written by compare-and-set only, so no number is ever given twice
`runtime.kept.<n>`    each revision, the current one too, once it was told of; written once
"""

from __future__ import annotations

from typing import Final

CURRENT: Final = "runtime.current"
EVERY_KEPT: Final = "runtime.kept.*"


def kept(number: int) -> str:
    return f"runtime.kept.{number}"


def number_of(key: str) -> int:
    """The number of a kept revision, 0 for a key of another kind."""
    number = key.rsplit(".", 1)[-1]
    return int(number) if number.isdecimal() else 0
