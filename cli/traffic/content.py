"""Invented documents and the questions that they answer."""

from __future__ import annotations

import random
from dataclasses import dataclass

_PLACES = ("Alderbrook", "Birchhaven", "Cloverfield", "Dunmoor", "Elmsworth", "Fernhill", "Glenrowan", "Hazelwood")
_MONTHS = ("March", "April", "May", "June", "July", "August", "September")
_SENTENCES = (
    "The apiary of {place} number {n} counted {hives} hives in {month}.",
    "Its keeper harvested {honey} kilograms of honey that season.",
    "The varroa count was taken every {days} days and stayed below {mites} mites.",
    "In {month} the scale of the main hive showed {weight} kilograms.",
)


@dataclass(frozen=True, kw_only=True)
class InventedDocument:
    document_id: str
    name: str
    text: str
    question: str


def invent(number: int, *, run: str, seed: int) -> InventedDocument:
    """The document of a number: the same for the same seed; `run` keeps the ids of several runs apart."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  (nothing secret)
    facts = {
        "place": chance.choice(_PLACES),
        "n": number,
        "month": chance.choice(_MONTHS),
        "hives": chance.randint(4, 80),
        "honey": chance.randint(20, 900),
        "days": chance.randint(3, 21),
        "mites": chance.randint(1, 9),
        "weight": chance.randint(18, 70),
    }
    return InventedDocument(
        document_id=f"load-{run}-{number}",
        name=f"apiary-{number}.txt",
        text=" ".join(sentence.format(**facts) for sentence in _SENTENCES),
        question=f"How many hives did the apiary of {facts['place']} number {number} count?",
    )
