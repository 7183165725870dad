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
_FUNCTION_LINES = (
    "am is are was were be been being doing done having might must shall will let not no only very too also just still",
    "i me my mine myself we us our ours you your yours he him his she her hers it its they them their theirs one",
    "someone somebody something anyone anybody anything a an the this that these those some any each every either other",
    "another such same own all both more most less least few about above after again against at before below between by",
    "down during for from in into of off on onto out over per since through till to toward under until up upon via with",
    "within without and but or nor if then than so as because while though although whether yet already ever here there",
    "now s t don doesn didn isn aren wasn weren won get got go going come please tell know",
)
FUNCTION_WORDS = _ASKING_WORDS | {stem(word) for line in _FUNCTION_LINES for word in line.split()}
"""Stems that any English question may have, whatever it is about. Finding them again in a text shows nothing."""

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
