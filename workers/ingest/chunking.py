"""Cuts a document into passages along its structure: sections, paragraphs, sentences, and only then tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, pairwise, takewhile

from contracts.documents import Chunk, Span
from workers.ingest.parsers.base import Block, BlockKind, ParsedDocument
from workers.ingest.sentences import line_spans, sentence_spans
from workers.ingest.splitting import CHARACTERS_PER_TOKEN, Splitter
from workers.ingest.tokenization import Tokenizer

HEADING_SEPARATOR = " › "
_HEADING_PATH_CHARACTERS = 300
# A chunk at least this full may end at the paragraph before the one that does not fit.
_PARAGRAPH_FILL = 0.5
_COUNTED_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, heading or line: what a chunk is made of. `block` numbers the block that it belongs to."""

    start: int
    end: int
    tokens: int
    block: int
    heading: bool


@dataclass(frozen=True, slots=True)
class _Section:
    path: tuple[str, ...]
    units: tuple[_Unit, ...]


def chunk(document: ParsedDocument, *, tokenizer: Tokenizer, max_tokens: int, overlap_tokens: int) -> list[Chunk]:
    """Cut `document` into chunks of at most `max_tokens`, in order.

    Chunks never cross a section; they begin with up to `overlap_tokens` of whole sentences of the chunk before in the
    same section. Every sentence is in a chunk whole, unless it is longer than `max_tokens`. A heading stays with
    what follows it. The same document and parameters always give the same chunks.
    """
    splitter = Splitter(document.text, tokenizer)
    packer = _Packer(splitter, max_tokens=max_tokens, overlap_tokens=min(overlap_tokens, max_tokens // 2))
    units = _units(document, splitter, max_tokens=max_tokens)
    packed = ((section, group) for section in _sections(document, units) for group in packer.pack(section.units))
    return [_chunk(document, section, group, ordinal) for ordinal, (section, group) in enumerate(packed)]


def _units(document: ParsedDocument, splitter: Splitter, *, max_tokens: int) -> Iterator[_Unit]:
    spans = iter(_spans(document))
    while several := list(islice(spans, _COUNTED_AT_ONCE)):
        counts = splitter.counts([(start, end) for start, end, _, _ in several], limit=max_tokens)
        for (start, end, number, heading), tokens in zip(several, counts, strict=True):
            if tokens <= max_tokens:
                yield _Unit(start, end, tokens, number, heading)
            else:
                for piece in splitter.pieces(start, end, limit=max_tokens):
                    yield _Unit(piece.start, piece.end, piece.tokens, number, heading)


def _spans(document: ParsedDocument) -> Iterator[tuple[int, int, int, bool]]:
    for number, block in enumerate(document.blocks):
        for start, end in _block_spans(document.text, block):
            yield start, end, number, block.kind is BlockKind.HEADING


def _block_spans(text: str, block: Block) -> Iterable[Span]:
    match block.kind:
        case BlockKind.HEADING:
            return ((block.start, block.end),)
        case BlockKind.CODE:
            return line_spans(text, block.start, block.end)
        case _:
            return sentence_spans(text, block.start, block.end)


def _sections(document: ParsedDocument, units: Iterable[_Unit]) -> Iterator[_Section]:
    """Headings with what stands under them. A heading right after another one is in the same section."""
    outline = _Outline()
    path: tuple[str, ...] = ()
    current: list[_Unit] = []
    for unit in units:
        if unit.heading and current and not current[-1].heading:
            yield _Section(path, tuple(current))
            current = []
        if unit.heading:
            path = outline.enter(document, unit)
        current.append(unit)
    if current:
        yield _Section(path, tuple(current))


class _Outline:
    """The headings above the current place."""

    def __init__(self) -> None:
        self._open: dict[int, tuple[int, str]] = {}

    def enter(self, document: ParsedDocument, unit: _Unit) -> tuple[str, ...]:
        block = document.blocks[unit.block]
        above = {level: opened for level, opened in self._open.items() if level < block.level}
        self._open = {**above, block.level: (unit.block, document.text[block.start : block.end])}
        return tuple(title for _, title in self._open.values())


class _Packer:
    """Fills chunks with the units of one section."""

    def __init__(self, splitter: Splitter, *, max_tokens: int, overlap_tokens: int) -> None:
        self._splitter = splitter
        self._max = max_tokens
        self._overlap = overlap_tokens

    def pack(self, units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
        pending = deque(units)
        current: list[_Unit] = []
        repeated = 0  # so many units at the beginning of `current` stand in the chunk before
        while pending:
            unit = pending.popleft()
            if _total([*current, unit]) <= self._max:
                current.append(unit)
            elif all(u.heading for u in current) and not unit.heading and (halves := self._halve(current, unit)):
                pending.extendleft(reversed(halves))
            else:
                full, carried = self._break(current, least=repeated + 1)
                yield full
                overlap = self._overlap_of(full, carried, unit)
                current, repeated = [*overlap, *carried], len(overlap)
                pending.appendleft(unit)
        if current:
            yield current

    def _halve(self, headings: Sequence[_Unit], unit: _Unit) -> tuple[_Unit, ...] | None:
        """Cut the first sentence under long headings so that they do not end a chunk alone."""
        room = self._max - _total(headings) - _gap(headings[-1], unit)
        if room < self._max // 4:
            return None
        head = self._splitter.head(unit.start, unit.end, limit=room)
        rest = self._splitter.pieces(head.end, unit.end, limit=self._max)
        return tuple(replace(unit, start=p.start, end=p.end, tokens=p.tokens) for p in (head, *rest))

    def _break(self, current: list[_Unit], *, least: int) -> tuple[list[_Unit], list[_Unit]]:
        """Where a full chunk ends: before the last paragraph if it is full enough then, never after a heading.

        It has the `least` number of units in any case, so that each chunk goes further than the one before.
        """
        at = len(current)
        for i in range(len(current) - 1, least - 1, -1):
            if _total(current[:i]) < self._max * _PARAGRAPH_FILL:
                break
            if current[i].block != current[i - 1].block:
                at = i
                break
        while at > least and current[at - 1].heading and not all(u.heading for u in current[:at]):
            at -= 1
        return current[:at], current[at:]

    def _overlap_of(self, full: Sequence[_Unit], carried: list[_Unit], following: _Unit) -> list[_Unit]:
        """The last units of a chunk that the next one begins with; they leave room for what follows."""
        after = [*carried, following]
        room = min(self._overlap, self._max - _total(carried or after))
        tail: list[_Unit] = []
        for unit in takewhile(lambda u: not u.heading, reversed(full[1:])):
            room -= unit.tokens + _gap(unit, (tail or after)[0])
            if room < 0:
                break
            tail.insert(0, unit)
        return tail


def _total(units: Sequence[_Unit]) -> int:
    return sum(unit.tokens for unit in units) + sum(_gap(*pair) for pair in pairwise(units))


def _gap(before: _Unit, after: _Unit) -> int:
    """What the white space between two units counts: nothing as a rule, but there are files with megabytes of it."""
    return (after.start - before.end) // CHARACTERS_PER_TOKEN


def _chunk(document: ParsedDocument, section: _Section, units: Sequence[_Unit], ordinal: int) -> Chunk:
    start, end = units[0].start, units[-1].end
    body = next((u for u in units if not u.heading), units[0])
    return Chunk(
        ordinal=ordinal,
        text=document.text[start:end],
        start=start,
        end=end,
        page=document.page_at(body.start),
        heading=HEADING_SEPARATOR.join(section.path)[:_HEADING_PATH_CHARACTERS] or None,
        sentences=tuple((u.start - start, u.end - start) for u in units if not u.heading),
    )
