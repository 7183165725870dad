"""Which scripts a text is written in, so that nobody has to say it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

HAN_RANGES = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
"""Inside a character class: ideographs, without punctuation (Unicode 16, blocks `CJK … Ideographs`)."""

ALL_SCRIPTS = "all"

_PATTERNS = {
    "han": re.compile(f"[{HAN_RANGES}]"),
    "latin": re.compile(r"[A-Za-z\u00aa\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u1e00-\u1eff]"),
    "kana": re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\uff66-\uff9f]"),
    "hangul": re.compile(r"[\u1100-\u11ff\u3130-\u318f\uac00-\ud7af]"),
    "cyrillic": re.compile(r"[\u0400-\u052f]"),
    "greek": re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    "arabic": re.compile(r"[\u0600-\u06ff\u0750-\u077f]"),
    "hebrew": re.compile(r"[\u0590-\u05ff]"),
    "devanagari": re.compile(r"[\u0900-\u097f]"),
    "thai": re.compile(r"[\u0e00-\u0e7f]"),
}
_LETTERS_PER_IDEOGRAPH = 3.0
"""An ideograph says about as much as three letters of an alphabet; shares are weighed accordingly."""


class Script(StrEnum):
    """The two ways in which sentences, terms and answers are handled."""

    ALPHABETIC = "alphabetic"
    HAN = "han"


def script_shares(text: str) -> Mapping[str, float]:
    """The share of each script in what `text` says, summing to 1; empty for a text without letters."""
    weights = {
        name: len(pattern.findall(text)) * (_LETTERS_PER_IDEOGRAPH if name == "han" else 1.0)
        for name, pattern in _PATTERNS.items()
    }
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items() if weight} if total else {}


def served_share(text: str, scripts: frozenset[str]) -> float:
    """How much of `text`, 0 to 1, is in one of `scripts` (`all` serves everything, a text without letters too)."""
    if ALL_SCRIPTS in scripts:
        return 1.0
    shares = script_shares(text)
    return sum(share for name, share in shares.items() if name in scripts) if shares else 1.0


def dominant_script(text: str) -> Script:
    """How to treat `text`: as Han when most of what it says is written so."""
    shares = script_shares(text)
    return Script.HAN if shares.get("han", 0.0) + shares.get("kana", 0.0) > 0.5 else Script.ALPHABETIC
