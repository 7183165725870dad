"""The terms that keyword search and the extractive generator compare.

Words of alphabetic scripts are case-folded and stemmed (Snowball, English); runs of ideographs become single
characters and overlapping pairs, which finds Chinese without a dictionary. An index stores `keyword_text` in a column of its
own and only has to split it at white space, so every engine searches the same terms.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import snowballstemmer

from workers.text.scripts import HAN_RANGES

MAX_TERM_LENGTH = 40
"""Longer words (keys, sequences, addresses) are cut; engines drop tokens above this length."""

# fmt: off
STOP_WORDS = frozenset({
    "a", "an", "and", "are", "as", "at", "be", "but", "by", "for", "if", "in", "into", "is", "it",
    "no", "not", "of", "on", "or", "such", "that", "the", "their", "then", "there", "these", "they",
    "this", "to", "was", "will", "with",
})
# fmt: on
"""Left out of index and questions: the list that Lucene's English analyser uses."""

_HAN = re.compile(f"[{HAN_RANGES}]")
_RUNS = re.compile(f"[{HAN_RANGES}]+|[^\\W_{HAN_RANGES}]+")
_ASCII_WORDS = re.compile(r"[a-z0-9]+")


def terms(text: str) -> list[str]:
    """The terms of `text` in order, with repeats, without stop words."""
    found: list[str] = []
    for run in runs(text):
        if is_han(run):
            found += _characters_and_pairs(run)
        elif run not in STOP_WORDS:
            found.append(stem(run))
    return found


def runs(text: str) -> list[str]:
    """The words and the runs of ideographs of `text`, case-folded."""
    folded = fold(text)
    return _ASCII_WORDS.findall(folded) if folded.isascii() else _RUNS.findall(folded)


def is_han(run: str) -> bool:
    """Whether one of `runs` is of ideographs."""
    return not run.isascii() and _HAN.match(run) is not None


def fold(text: str) -> str:
    """Case-folded, full-width and other compatibility characters as the usual ones (Unicode NFKC)."""
    return text.lower() if text.isascii() else unicodedata.normalize("NFKC", text).casefold()


def keyword_text(text: str, *, heading: str | None = None, name: str | None = None) -> str:
    """What an index stores to be searched by keyword: the terms of name, heading and text, separated by spaces."""
    return " ".join(terms("\n".join(part for part in (name, heading, text) if part)))


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """The stem of a case-folded word; words of other scripts are their own."""
    word = word[:MAX_TERM_LENGTH]
    if not word.isascii() or not word.isalpha():
        return word
    return str(snowballstemmer.stemmer("english").stemWord(word))


def _characters_and_pairs(run: str) -> list[str]:
    return [*run, *(run[i : i + 2] for i in range(len(run) - 1))]
