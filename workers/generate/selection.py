"""Picks the few sentences that answer, and puts those together that follow one another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from workers.generate.sentences import Place, Sentence

NEAR_BEST = 0.5
"""A sentence with less than this share of the best one's score is left out, even if there is room."""
ADJACENT = 2
"""At most so many characters (white space) lie between a sentence and the next one."""


def select(candidates: Sequence[Sentence], *, most: int) -> list[list[Sentence]]:
    """Up to `most` sentences, in groups that follow one another in the text; the group with the best one first."""
    ranked = sorted(candidates, key=lambda s: (-s.score, s.place))
    chosen: dict[Place, Sentence] = {}
    said: dict[str, Place] = {}
    for sentence in ranked:
        if said.setdefault(sentence.text, sentence.place) != sentence.place:
            continue
        if len(chosen) == most or sentence.score < NEAR_BEST * ranked[0].score:
            break
        chosen.setdefault(sentence.place, sentence)
    return sorted(_groups(chosen.values()), key=lambda group: -max(s.score for s in group))


def _groups(chosen: Iterable[Sentence]) -> list[list[Sentence]]:
    groups: list[list[Sentence]] = []
    for sentence in sorted(chosen, key=lambda s: s.place):
        if groups and _follows(sentence.place, groups[-1][-1].place):
            groups[-1].append(sentence)
        else:
            groups.append([sentence])
    return groups


def _follows(place: Place, before: Place) -> bool:
    same_text = (place.document_id, place.generation) == (before.document_id, before.generation)
    return same_text and 0 <= place.start - before.end <= ADJACENT
