"""What in a question only asks, and what says what it is about."""

from __future__ import annotations

import re

from workers.text.scripts import HAN_RANGES
from workers.text.terms import stem, terms

_ASKING_WORDS = frozenset(
    stem(word)
    for word in (
        *("what", "which", "how", "who", "whom", "whose", "why", "when", "where"),
        *("do", "does", "did", "has", "have", "had", "can", "could", "may", "would", "should", "many", "much"),
    )
)
_ASKING_PHRASES = re.compile(
    "为什么|為什麼|什么时候|什麼時候|什么|什麼|哪些|哪个|哪個|哪里|哪裡|哪|谁|誰|多少|几|幾|多久|如何|怎么样|怎樣|怎样|怎么|怎麼|"
    "何时|何時|何地|何|是否|吗|嗎|呢|请问|請問"
)
_HAN = re.compile(f"[{HAN_RANGES}]")


def content_terms(question: str) -> list[str]:
    """The terms of `question` that say what it is about, in order, each once.

    Asking words are rare in documents, so that keyword search would take them for the most telling ones. All terms are
    returned when nothing else is left.
    """
    about = _ASKING_PHRASES.sub(" ", question) if _HAN.search(question) else question
    found = dict.fromkeys(term for term in terms(about) if term not in _ASKING_WORDS)
    return list(found or dict.fromkeys(terms(question)))


def keyword_query(question: str) -> str:
    """What a keyword search looks for, separated by spaces: any may match. Empty for a question without any word."""
    return " ".join(content_terms(question))
