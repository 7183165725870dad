"""Tells what in HTML no reader sees, by what the elements themselves say; style sheets are not read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import chain

import lxml.html

_DECLARATION = re.compile(r"([\w-]+)\s*:\s*([^;]+)")
_LENGTH = re.compile(r"(-?[\d.]+)(px|pt|em|rem|%|vw|vh)?")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)([^<>]*)>")
_COLOURS = {"white": "#ffffff", "black": "#000000"}
_SHORT = re.compile(r"#([0-9a-f])([0-9a-f])([0-9a-f])")
_RGB = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(?:[,/]\s*([\d.]+))?\s*\)")
_UNREADABLE_PX = 1.0
_OFF_SCREEN_PX = -999.0
_OFFSETS = ("left", "right", "top", "text-indent", "margin-left", "margin-top")
_TRANSPARENT = "transparent"
_FROM_AROUND = frozenset({"inherit", "initial", "unset", "none", "currentcolor", _TRANSPARENT})
_PAGE = "#ffffff"
_UNCLOSED = frozenset({"p", "li", "br", "hr", "img", "input", "wbr", "source", "meta", "link", "col", "area", "embed"})
"""Elements that need no closing tag, or have none."""


class Visibility:
    """Knows a page: where it has a style sheet, that may colour anything."""

    def __init__(self, root: lxml.html.HtmlElement) -> None:
        self._page = _PAGE if next(root.iter("style", "link"), None) is None else None

    def hides(self, element: lxml.html.HtmlElement) -> bool:
        """Whether an element says of itself that it is not shown, or not to be read.

        That is so, too, for text in the colour of what it stands on, as far as elements say it.
        """
        if not element.attrib:
            return False
        if element.get("hidden") is not None or element.get("aria-hidden") == "true":
            return True
        style = _style(element)
        return _not_shown(style) or _too_small(style) or _far_away(style) or self._sinks(element, style)

    def _sinks(self, element: lxml.html.HtmlElement, style: Mapping[str, str]) -> bool:
        """Whether it has the colour of its ground, and nothing in it has another one."""
        colour = _colour(style.get("color") or (element.get("color") if element.tag == "font" else None))
        if colour is None or (colour in _FROM_AROUND and colour != _TRANSPARENT):
            return False
        if colour != _TRANSPARENT and colour != self._ground(element):
            return False
        return not any(_paints(inside) for inside in element.iterdescendants())

    def _ground(self, element: lxml.html.HtmlElement) -> str | None:
        """The colour that an element stands on; None where nobody knows."""
        for around in chain([element], element.iterancestors()):
            style = _style(around)
            declared = style.get("background-color") or style.get("background") or around.get("bgcolor")
            colour = _colour(declared.split()[0] if declared and "(" not in declared else declared)
            if colour and colour not in _FROM_AROUND:
                return colour
            if "background-image" in style or around.get("background"):
                return None
        return self._page


class HiddenMarkup:
    """Follows tags that stand among other text, as in Markdown: `inside` is whether what comes next is hidden by them."""

    def __init__(self) -> None:
        self._name = ""
        self._depth = 0

    @property
    def inside(self) -> bool:
        return self._depth > 0

    def read(self, markup: str) -> None:
        """Take note of the tags in `markup`."""
        for closing, name, attributes in _TAG.findall(markup):
            if self._depth:
                self._depth += (name.lower() == self._name) * (-1 if closing else 1)
            elif not closing and name.lower() not in _UNCLOSED and _hides(attributes):
                self._name, self._depth = name.lower(), 1


def _hides(attributes: str) -> bool:
    element = lxml.html.fragment_fromstring(f"<span {attributes.rstrip('/')}></span>")
    return Visibility(element).hides(element)


def _style(element: lxml.html.HtmlElement) -> dict[str, str]:
    declared = _DECLARATION.findall(element.get("style", "").lower())
    return {name: value.replace("!important", "").strip() for name, value in declared}


def _not_shown(style: Mapping[str, str]) -> bool:
    return (
        style.get("display") == "none"
        or style.get("visibility") in {"hidden", "collapse"}
        or _number(style.get("opacity")) == 0
    )


def _too_small(style: Mapping[str, str]) -> bool:
    size = _number(style.get("font-size"))
    if size is None:
        return False
    return size == 0 or (size <= _UNREADABLE_PX and style["font-size"].endswith(("px", "pt")))


def _far_away(style: Mapping[str, str]) -> bool:
    return any((_number(style.get(offset)) or 0) <= _OFF_SCREEN_PX for offset in _OFFSETS)


def _paints(element: lxml.html.HtmlElement) -> bool:
    """Whether it chooses a colour of its own, for itself or for what it stands on."""
    style = _style(element)
    return any(name == "color" or name.startswith("background") for name in style) or bool(
        element.get("bgcolor") or element.get("color")
    )


def _colour(declared: str | None) -> str | None:
    if declared is None:
        return None
    colour = declared.strip().lower()
    if short := _SHORT.fullmatch(colour):
        return "#" + "".join(2 * digit for digit in short.groups())
    if rgb := _RGB.fullmatch(colour):
        red, green, blue, alpha = rgb.groups()
        return (
            _TRANSPARENT
            if alpha is not None and float(alpha) == 0
            else f"#{int(red):02x}{int(green):02x}{int(blue):02x}"
        )
    return _COLOURS.get(colour, colour)


def _number(value: str | None) -> float | None:
    """A length or a number; None for what is neither."""
    length = _LENGTH.fullmatch(value) if value else None
    try:
        return float(length.group(1)) if length else None
    except ValueError:
        return None
