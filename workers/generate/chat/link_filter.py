"""Links in what a model says: kept where a passage that it cites holds them, removed where none does."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from contracts.queries import RetrievedPassage
from workers.generate.base import Removed
from workers.generate.chat.links import Found, Item, Kind, LinkScanner, addresses

REACH = 400
"""A link may be shown before its passage is cited: so many characters before, on the same line."""
_MARKER = re.compile(r"\[(\d{1,4})\]$")
_MARKER_LENGTH = 6
_CODE = "`"


class LinkFilter:
    """Lets only links through that stand in a passage which the answer cites.

    A link waits for the marker of its passage until the line ends, or `REACH` characters have come; an answer may have cited
    it before. HTML that does something is taken out in any case. Text is never changed, and nothing is added.
    """

    def __init__(self, passages: Sequence[RetrievedPassage]) -> None:
        self._passages = passages
        self._addresses: list[frozenset[str]] | None = None
        self._scanner = LinkScanner()
        self._cited = _Cited()
        self._waiting: list[_Waiting] = []
        self.removed: Counter[Removed] = Counter()

    def feed(self, text: str) -> str:
        """What can be shown now that `text` has come."""
        return "".join(map(self._take, self._scanner.feed(text)))

    def finish(self) -> str:
        """What was held back to the end, if it may be shown."""
        return "".join(map(self._take, self._scanner.finish())) + self._give_up(len(self._waiting))

    def _take(self, item: Item) -> str:
        if isinstance(item, str):
            return self._text(item)
        sources = self._sources(item)
        if not sources:
            self.removed[Removed.MARKUP if item.kind is Kind.MARKUP else Removed.LINK] += 1
            return ""
        if sources & self._cited.numbers:
            return self._text(item.text)
        self._waiting.append(_Waiting(link=item.text, sources=sources))
        return ""

    def _text(self, text: str) -> str:
        cited = self._cited.feed(text)
        if not self._waiting:
            return text
        self._waiting[-1].text += text
        if text == "\n":
            return self._give_up(len(self._waiting))
        if cited:
            return self._show(cited)
        return self._give_up(1) if sum(len(waiting.text) for waiting in self._waiting) > REACH else ""

    def _show(self, cited: int) -> str:
        """Let go of the links whose passage is cited now, as far as none before them waits."""
        for waiting in self._waiting:
            waiting.shown = waiting.shown or cited in waiting.sources
        until = next((n for n, waiting in enumerate(self._waiting) if not waiting.shown), len(self._waiting))
        return self._let_go(until)

    def _give_up(self, number: int) -> str:
        """Take out the first links that wait and go on; those after them may be shown already."""
        self.removed += Counter(Removed.LINK for waiting in self._waiting[:number] if not waiting.shown)
        after = next((n for n, w in enumerate(self._waiting[number:]) if not w.shown), len(self._waiting) - number)
        return self._let_go(number + after)

    def _let_go(self, number: int) -> str:
        gone, self._waiting = self._waiting[:number], self._waiting[number:]
        return "".join((waiting.link if waiting.shown else "") + waiting.text for waiting in gone)

    def _sources(self, found: Found) -> frozenset[int]:
        """The numbers of the passages in which a link stands."""
        if found.address is None:
            return frozenset()
        if self._addresses is None:  # most answers have no link at all
            self._addresses = [addresses(passage.text) for passage in self._passages]
        return frozenset(n for n, known in enumerate(self._addresses, start=1) if found.address in known)


@dataclass
class _Waiting:
    """A link that is not shown yet, the passages that would vouch for it, and the text after it."""

    link: str
    sources: frozenset[int]
    text: str = ""
    shown: bool = False


@dataclass
class _Cited:
    """The passages that a text has named so far, in code excepted."""

    numbers: set[int] = field(default_factory=set)
    _end: str = ""
    _in_code: bool = False

    def feed(self, text: str) -> int | None:
        """The number that the last character of `text` has named."""
        self._in_code ^= text.count(_CODE) % 2 == 1
        self._end = (self._end + text)[-_MARKER_LENGTH:]
        marker = None if self._in_code else _MARKER.search(self._end)
        if marker is None:
            return None
        self.numbers.add(int(marker.group(1)))
        return int(marker.group(1))
