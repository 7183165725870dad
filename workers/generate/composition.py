"""Writes the answer: the picked sentences, each with its citation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from contracts.answers import Citation
from contracts.queries import GenerationParameters
from workers.generate.citations import cite
from workers.generate.markers import MarkerFilter
from workers.generate.sentences import Sentence
from workers.text.tokens import count_tokens, cut_at_tokens


@dataclass(frozen=True, kw_only=True)
class Part:
    """A run of text in the answer with the citations that belong to it."""

    text: str
    citations: tuple[Citation, ...] = ()


def compose(groups: Sequence[Sequence[Sentence]], parameters: GenerationParameters) -> list[Part]:
    """The parts of the answer in order; their texts joined are the answer.

    `max_tokens` and `stop` are honoured: the answer is cut before the first stop sequence, and at a sentence's end if
    possible. At least the beginning of the best sentence is said. A quote is never longer than what is said of it.
    """
    parts = _within_tokens(_parts(groups), parameters.max_tokens)
    return list(_before_stop(parts, parameters.stop))


def _parts(groups: Sequence[Sequence[Sentence]]) -> Iterator[Part]:
    number = 0
    for position, group in enumerate(groups):
        citations = [cite(number + i, s.passage, s.start, s.end) for i, s in enumerate(group, start=1)]
        number += len(citations)
        marks = "".join(f"[{citation.n}]" for citation in citations)
        yield Part(text=f"{' ' if position else ''}{_joined(group)} {marks}", citations=tuple(citations))


def _joined(group: Sequence[Sentence]) -> str:
    """The sentences with their white space folded, and a space where the text has any between them.

    What looks like a citation in a document is not one of this answer's, and is left out of it.
    """
    text = ""
    for before, sentence in zip([None, *group], group, strict=False):
        gap = before is not None and sentence.place.start > before.place.end
        text += (" " if gap else "") + " ".join(sentence.text.split())
    markers = MarkerFilter(passages=0)
    return markers.feed(text) + markers.finish()


def _within_tokens(parts: Iterable[Part], most: int | None) -> Iterator[Part]:
    said = 0
    for part in parts:
        tokens = count_tokens(part.text)
        if most is None or said + tokens <= most:
            said += tokens
            yield part
            continue
        if said == 0:
            yield _shortened(part, cut_at_tokens(part.text, most))
        return


def _before_stop(parts: Iterable[Part], stop: Sequence[str]) -> Iterator[Part]:
    """A stop sequence may begin in one part and end in the next, so it is looked for in the whole answer."""
    said = list(parts)
    whole = "".join(part.text for part in said)
    cut = min((at for at in (whole.find(s) for s in stop if s) if at >= 0), default=len(whole))
    begin = 0
    for part in said:
        if begin >= cut:
            return
        kept = part.text[: cut - begin]
        yield part if kept == part.text else _shortened(part, kept.rstrip())
        begin += len(part.text)


def _shortened(part: Part, text: str) -> Part:
    """A part of which only `text` is said. Sentences that are said in part are quoted as far as they are said."""
    left = len("".join(text.split()))
    citations = []
    for citation in part.citations:
        end = _reach(citation.quote, left)
        if end == 0:
            break
        citations.append(_quoting(citation, citation.quote[:end]))
        left -= len("".join(citation.quote[:end].split()))
    return Part(text=text, citations=tuple(citations))


def _reach(quote: str, characters: int) -> int:
    """Where the first so many characters of `quote` end, white space not counted."""
    for at, character in enumerate(quote):
        if not character.isspace():
            characters -= 1
        if characters < 0:
            return len(quote[:at].rstrip())
    return len(quote)


def _quoting(citation: Citation, quote: str) -> Citation:
    """The citation of a shorter quote that begins at the same place."""
    return citation.model_copy(update={"quote": quote, "end": citation.start + len(quote)})
