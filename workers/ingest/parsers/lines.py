"""Puts lines that a page broke back together."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NO_SPACE = re.compile(r"[\u2e80-\u9fff\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6\u2018-\u201d\u2026]")
_HYPHENATED = re.compile(r"[^\W\d_]{2,}[-\u2010\u00ad\x02\ufffe]$")
_BROKEN = "\x02\ufffe\u00ad"  # how PDF readers hand over a hyphen that only breaks a word


def joint(before: str, after: str) -> str:
    """What belongs between two lines of one paragraph: nothing between Chinese characters, else a space."""
    return "" if _NO_SPACE.match(before[-1:]) and _NO_SPACE.match(after[:1]) else " "


def join_lines(lines: Iterable[str]) -> str:
    """One paragraph of its lines."""
    parts: list[str] = []
    for line in filter(None, lines):
        if parts:
            parts.append(joint(parts[-1], line))
        parts.append(line)
    return "".join(parts)


def join_printed_lines(lines: Iterable[str]) -> str:
    """As `join_lines`, and words broken by a hyphen at the end of a line are made whole."""
    whole: list[str] = []
    for line in filter(None, lines):
        if whole and _HYPHENATED.search(whole[-1][-32:]) and (whole[-1][-1] in _BROKEN or line[0].islower()):
            whole[-1] = whole[-1][:-1]
            word, _, rest = line.partition(" ")
            whole[-1] += word
            whole += [rest] if rest else []
        else:
            whole.append(line)
    return join_lines(whole)
