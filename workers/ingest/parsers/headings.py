"""Headings that only their wording gives away, as in plain text and many PDF files."""

from __future__ import annotations

import re

_HEADING = re.compile(
    r"""
      第\s*[0-9０-９一二三四五六七八九十百千零〇两]+\s*[章节節回部篇卷] .{0,40}
    | [一二三四五六七八九十]{1,3}、 .{1,30}
    | (?:chapter|part|section|appendix)\s+(?:\d+|[ivxlc]+)\b .{0,70}
    | (?P<number>\d{1,2}(?:\.\d{1,2}){0,3})\.?\s+ [^\W\d_].{0,70}
    """,
    re.VERBOSE | re.IGNORECASE,
)
# An entry of a table of contents: it ends with a page number, behind dots or behind a title with its number.
_ENTRY = re.compile(
    r"""
      .* (?:\.\s?){4,} \s* \w{1,4}
    | .* (?:…\s?){2,} \s* \w{1,4}
    | (?:\d{1,2}(?:\.\d{1,2}){0,3}\.? \s | 第.{1,4}[章节節] | [（(]?[一二三四五六七八九十]{1,3}[）)、]) [^.,;。，；]{1,60} \s\d{1,3}
    """,
    re.VERBOSE,
)
_RUNS_ON = re.compile(r"[.!?。！？；;:：,，]$")
_LONGEST = 80


def worded_heading_level(line: str) -> int:
    """The level of a line that reads like a heading ("2.1 Results" has level 2, "第三章 …" level 1), else 0."""
    if len(line) > _LONGEST or "\n" in line or _RUNS_ON.search(line) or is_contents_entry(line):
        return 0
    match = _HEADING.fullmatch(line)
    if match is None:
        return 0
    number = match.group("number")
    return 1 + number.count(".") if number else 1


def is_contents_entry(line: str) -> bool:
    """Whether a line reads like one of a table of contents: "2.1 Results . . . . 17", "二、全年概况 2"."""
    return len(line) <= 2 * _LONGEST and _ENTRY.fullmatch(line) is not None
