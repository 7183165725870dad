"""What kind of answer a question wants, and the marks by which a sentence of that kind is known."""

from __future__ import annotations

import re
from enum import StrEnum


class Wanted(StrEnum):
    """The kind of answer that a question asks for; `OTHER` leaves no mark in a sentence."""

    NUMBER = "number"
    DATE = "date"
    REASON = "reason"
    PLACE = "place"
    PERSON = "person"
    OTHER = "other"


_QUESTIONS: tuple[tuple[Wanted, re.Pattern[str]], ...] = (
    (
        Wanted.NUMBER,
        re.compile(
            r"how (many|much|long|often|old|far|high|large|big|fast|close|heavy|deep)|percentage"
            r"|what (percent|number|proportion|age|temperature|rate)|多少|几[个个名人位年岁次种座所家条部只件天月米元层届]|多[大长高久远宽深重]",
            re.IGNORECASE,
        ),
    ),
    (
        Wanted.DATE,
        re.compile(
            r"\bwhen\b|(what|which) (year|date|time|day|month)|什么时候|什麼時候|何时|何時|哪一?[年天月日]|时间|時間|年份",
            re.IGNORECASE,
        ),
    ),
    (Wanted.REASON, re.compile(r"\bwhy\b|\breasons?\b|为什么|為什麼|为何|為何|原因|缘故", re.IGNORECASE)),
    (
        Wanted.PLACE,
        re.compile(
            r"\bwhere\b|(what|which) (country|city|place|province|region|town)|哪里|哪裡|哪儿|何处|何地|地方"
            r"|哪一?个?(国家|城市|省|地区|县|市|国)",
            re.IGNORECASE,
        ),
    ),
    (Wanted.PERSON, re.compile(r"\bwho(m|se)?\b|谁|誰|何人|哪位|哪个人|人物", re.IGNORECASE)),
)
"""Tried in this order; the first that matches is the kind."""

_MARKS: dict[Wanted, re.Pattern[str]] = {
    Wanted.NUMBER: re.compile(
        r"\d|\b(one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dozen|half|hundred|thousand|[mb]illion)\b"
        r"|[一二三四五六七八九十百千万亿两]+[个名人位年岁次种座所家条部只件天月日米里元倍层项]",
        re.IGNORECASE,
    ),
    Wanted.DATE: re.compile(
        r"\b(1\d|20)\d\d\b|\b(january|february|march|april|may|june|july|august|september|october|november|december"
        r"|monday|tuesday|wednesday|thursday|friday|saturday|sunday|century)\b|\d+\s*(day|week|month|year|hour|minute)"
        r"|[\d〇一二三四五六七八九十]+\s*[年月日世]|年代|时期|時期",
        re.IGNORECASE,
    ),
    Wanted.REASON: re.compile(
        r"\b(because|due to|since|as a result|therefore|thus|so that|in order to|caused? by|reason|owing|leads? to"
        r"|to (avoid|prevent|ensure|reduce|protect))\b|因|由于|由於|所以|为了|為了|原因|以免|避免|防止",
        re.IGNORECASE,
    ),
    Wanted.PLACE: re.compile(
        r"\b(in|at|from|near|to|of)\s+(the\s+)?[A-Z]|位于|位於|地处|境内|[省市县區区州国國镇鎮乡村城岛島山河湖路街港]"
    ),
    Wanted.PERSON: re.compile(
        r"\s[A-Z][a-z]+|\b(by|we|they|team|authors?|staff|manager|director|officer)\b|[·•]|[先女]|[者员家长]"
    ),
}


def wanted(question: str) -> Wanted:
    """The kind of answer that `question` asks for."""
    return next((kind for kind, pattern in _QUESTIONS if pattern.search(question)), Wanted.OTHER)


def bears_mark(sentence: str, kind: Wanted) -> bool:
    """Whether `sentence` has what an answer of this kind has, such as a number."""
    mark = _MARKS.get(kind)
    return mark is not None and mark.search(sentence) is not None
