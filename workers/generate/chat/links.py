"""Finds what leads or loads from elsewhere in a text that comes character by character: links, images, HTML."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

LONGEST = 1000
"""Something that is not whole within so many characters is none; an address goes on, and is one that nobody wrote."""
TAIL = 200

SCHEMES = ("https://", "http://", "ftp://", "mailto:", "www.")
_ADDRESS_END = re.compile(r"[^!-~]|[<>\"`|\[\]]")
_OPEN_END = re.compile(r"[\s<]")
_NUMBER = re.compile(r"\[\d{1,4}\]")
_GOES_ON = re.compile(r"[^\u2e80-\uffff]*[A-Za-z0-9]")
_OTHER_HOST = re.compile(r"[.．｡]\w|[。%][A-Za-z0-9]")
LONGEST_HOST = 255
_TRAILING = ".,;:!?'*_~"
_HOST = re.compile(r"[A-Za-z0-9-]\.[A-Za-z]{2,24}(?::\d{1,5})?$")
_LABEL = re.compile(r"(?:^|\n)[ >*+\-\d.)]{0,20}\[[^\]]{1,150}\]$")
"""Before a colon: what follows that is where all `[label]` of the text lead."""
_DOTTED = re.compile(r"(?:(?<![A-Za-z0-9_])www|[\w.+-]@[A-Za-z0-9-]{1,63})$", re.IGNORECASE)
_WORD = re.compile(r"[^\s<>\"`|()\[\]]*$")
_AUTOLINK = re.compile(r"<+((?:[A-Za-z][A-Za-z0-9.+-]{1,31}:|[^\s<>`@]+@)[^\s<>`]*)>")
_MAY_BE_AUTOLINK = re.compile(r"<+[!-;=?-~]{0,200}")
_TAG = re.compile(r"<+[A-Za-z/!?]")
_NESTED = re.compile(r"<+[^<]+<")
_NESTED_CLOSELY = re.compile(r"<+[^\s<`]+[<`]")
"""Of these, what is inside may be taken out, and the rest is something else then."""
_NAME = re.compile(r"<+/?([A-Za-z][^\s/>]*)")
_ACTIVE = frozenset({
    "script", "style", "template", "noscript", "iframe", "frame", "frameset", "noframes", "noembed", "object", "embed",
    "applet", "base", "meta", "link", "svg", "math", "title", "textarea", "select", "plaintext", "xmp", "form", "input",
    "button", "audio", "video", "img", "image", "portal", "body", "html", "head",
})  # fmt: skip


class Kind(StrEnum):
    LINK = "link"
    MARKUP = "markup"


@dataclass(frozen=True, slots=True)
class Found:
    """A piece of text that is more than text. `address` is where it leads, None where no passage can vouch for it."""

    kind: Kind
    text: str
    address: str | None = None


@dataclass(frozen=True, slots=True)
class _Decided:
    """What becomes of the first characters that are held: so many are text, or are what was found."""

    length: int
    found: Found | None = None


_TEXT = _Decided(1)
Item = str | Found


class LinkScanner:
    """Passes on text, and what in it is a link's target, an address or an HTML tag that does something.

    It goes by what it has passed on as text, never by what it has found: whoever takes that out can be sure that what
    stands around it then is no link either. An image is its text and the target of a link.
    """

    def __init__(self) -> None:
        self._tail = ""
        self._held = ""
        self._endless = False
        self._open = _OpenAddress()

    def feed(self, text: str) -> Iterator[Item]:
        """What can be told apart now that `text` has come."""
        for character in text:
            self._held += character
            yield from self._settle(last=False)

    def finish(self) -> Iterator[Item]:
        """What was held to the end."""
        yield from self._settle(last=True)
        yield from self._open.close()

    def _settle(self, *, last: bool) -> Iterator[Item]:
        if self._endless:
            self._go_on()
        while self._held and (decided := self._decide(last=last)):
            text, self._held = self._held[: decided.length], self._held[decided.length :]
            if not decided.found:
                self._tail = (self._tail + text)[-TAIL:]
            yield from self._open.follow(decided.found or text)

    def _decide(self, *, last: bool) -> _Decided | None:
        """None while more has to come."""
        held, tail, first = self._held, self._tail, self._held[0]
        if first == "<":
            return _tag(held, last=last)
        if first == "(" and tail.endswith("]"):
            return _target(held, last=last)
        if first == ":":
            return _Decided(1, Found(Kind.LINK, ":")) if _LABEL.search(tail) else _TEXT
        return self._as_address(last=last)

    def _as_address(self, *, last: bool) -> _Decided | None:
        tail, first = self._tail, self._held[0]
        if first == "/" and tail.endswith("/"):
            return self._address(last=last, least="." if not tail.endswith(":/") else "/")
        if (first in "/?" and _HOST.search(tail)) or (first == "." and _DOTTED.search(tail)):
            return self._address(last=last)
        if first in "hHfFmMwW" and not (tail[-1:].isascii() and (tail[-1:].isalnum() or tail.endswith("_"))):
            return self._scheme(last=last)
        return _TEXT

    def _scheme(self, *, last: bool) -> _Decided | None:
        held = self._held.lower()
        if held.startswith(SCHEMES):
            return self._address(last=last)
        if not last and any(scheme.startswith(held) for scheme in SCHEMES):
            return None
        return _TEXT

    def _address(self, *, last: bool, least: str = "") -> _Decided | None:
        """What is held, up to where an address ends; text if nothing follows its first sign, or it does not hold `least`.

        What follows a `<` may be all that is left of it: the first sign alone is no text there.
        """
        held = self._held
        end = _end_of_address(held)
        if end is None and not last:
            if len(held) <= LONGEST:
                return None
            self._endless = True
            return _Decided(len(held), Found(Kind.LINK, held))
        if end and held[end] == "<" and len(_without_trailing(held[:end])) < 2:
            return _Decided(end, Found(Kind.LINK, held[:end]))
        address = _without_trailing(held[:end])
        if (len(address) < 2 and not self._tail.endswith(":/")) or least not in address:
            return _TEXT
        word = _WORD.search(self._tail)
        before = word.group() if word and not held.lower().startswith(SCHEMES) else ""
        return _Decided(len(address), Found(Kind.LINK, address, bare(before + address)))

    def _go_on(self) -> None:
        """Leave out the rest of an address that was found before its end."""
        end = _end_of_address(self._held)
        self._endless = end is None
        self._held = self._held[end:] if end is not None else ""


class _OpenAddress:
    """An address, and what stands right behind it: programs may take that for more of the address.

    It is one that nobody wrote if something was found right behind it, which may be taken out, or if what follows without
    a space goes on with it, or could make it an address on another host. Chinese has no spaces: there only the latter counts.
    """

    def __init__(self) -> None:
        self._address: Found | None = None
        self._behind = ""

    def follow(self, item: Item) -> Iterator[Item]:
        """What is decided now that `item` comes next."""
        if isinstance(item, Found):
            yield from self.close(cut=True)
            if item.address is not None:
                self._address = item
            else:
                yield item
        elif self._address is None:
            yield item
        else:
            self._behind += item
            if _OPEN_END.match(item) or len(self._behind) > LONGEST_HOST:
                yield from self.close()

    def close(self, *, cut: bool = False) -> Iterator[Item]:
        """What was open."""
        if self._address is not None:
            behind = _NUMBER.sub("", self._behind)
            other = cut or _GOES_ON.match(behind) or _OTHER_HOST.search(behind)
            yield replace(self._address, address=None) if other else self._address
        yield from self._behind
        self._address, self._behind = None, ""


def bare(address: str) -> str:
    """An address as it is compared: with or without its scheme and its last slash it leads to the same place."""
    for scheme in ("https://", "http://"):
        if address.lower().startswith(scheme):
            address = address[len(scheme) :]
    return address.rstrip("/")


def addresses(text: str) -> frozenset[str]:
    """Where the links and addresses in `text` lead, also those inside its HTML."""
    scanner = LinkScanner()
    found = [item for items in (scanner.feed(text), scanner.finish()) for item in items if isinstance(item, Found)]
    inside = [addresses(item.text.lstrip("<")) for item in found if item.kind is Kind.MARKUP and len(item.text) > 1]
    return frozenset({item.address for item in found if item.address}.union(*inside))


def _end_of_address(text: str) -> int | None:
    end = _ADDRESS_END.search(text)
    return end.start() if end else None


def _without_trailing(address: str) -> str:
    """Without the signs that belong to the sentence around it, as GitHub's Markdown (spec section 6.9) has it."""
    while True:
        shorter = address.rstrip(_TRAILING)
        if shorter.endswith(")") and shorter.count(")") > shorter.count("("):
            shorter = shorter[:-1]
        if shorter == address:
            return address
        address = shorter


def _target(held: str, *, last: bool) -> _Decided | None:
    """`(target "title")` after `]`. Without an end, or with code in it, only the bracket is found; the rest is looked at anew."""
    opened = 0
    for at, character in enumerate(held):
        opened += (character == "(") - (character == ")")
        if character in "\n`":
            return _Decided(1, Found(Kind.LINK, "("))
        if opened == 0:
            return _whole_target(held[: at + 1])
    return _Decided(1, Found(Kind.LINK, "(")) if last or len(held) > LONGEST else None


def _whole_target(text: str) -> _Decided:
    words = text[1:-1].split()
    if not words:
        return _TEXT
    return _Decided(len(text), Found(Kind.LINK, text, bare(words[0].strip("<>"))))


def _tag(held: str, *, last: bool) -> _Decided | None:
    """A tag that does something, or an address in angle brackets. What only looks like one is text.

    Of one that has no end, or something else or code in it, only its first sign is found.
    """
    if link := _AUTOLINK.match(held):
        return _Decided(link.end(), Found(Kind.LINK, link.group(), bare(link.group(1))))
    if not _TAG.match(held):
        return None if not last and _MAY_BE_AUTOLINK.fullmatch(held) else _TEXT
    end = held.find(">") + 1
    whole = bool(end) and "`" not in held[:end]
    if not end and "`" not in held and not last and len(held) <= LONGEST:
        return None
    tag = held[:end] if end else held
    acts = _acts(tag)
    if not acts and not (_NESTED if end else _NESTED_CLOSELY).match(tag):
        return _TEXT
    length = end if whole and acts else len(held) - len(held.lstrip("<"))
    return _Decided(length, Found(Kind.MARKUP, held[:length]))


def _acts(tag: str) -> bool:
    if tag.lstrip("<")[0] in "!?" or "=" in tag:
        return True
    name = _NAME.match(tag)
    return name is not None and name.group(1).lower() in _ACTIVE
