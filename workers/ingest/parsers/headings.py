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
_RUNS_ON = re.compile(r"[.!?。！？；;:：,，]$")
_LONGEST = 80


def worded_heading_level(line: str) -> int:
    """The level of a line that reads like a heading ("2.1 Results" has level 2, "第三章 …" level 1), else 0."""
    if len(line) > _LONGEST or "\n" in line or _RUNS_ON.search(line):
        return 0
    match = _HEADING.fullmatch(line)
    if match is None:
        return 0
    number = match.group("number")
    return 1 + number.count(".") if number else 1
