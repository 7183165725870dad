"""Cuts a document into passages along its structure: sections, paragraphs, sentences, and only then tokens."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile

from contracts.documents import Chunk, Span
from workers.ingest.parsers.base import Block, BlockKind, ParsedDocument
from workers.ingest.sentences import line_spans, sentence_spans
from workers.ingest.tokenization import Tokenizer

HEADING_SEPARATOR = " › "
_HEADING_PATH_CHARACTERS = 300
# A word that the tokenizer takes for one unknown token still fills a chunk: so many characters count as a token.
_CHARACTERS_PER_TOKEN = 16
# A chunk at least this full may end at the paragraph before the one that does not fit.
_PARAGRAPH_FILL = 0.5
# Where a sentence is too long for a chunk, the last white space or comma in this share of it is where it is cut.
_SOFT_CUT = 0.7
_PAUSES = " \n\t，、,;；:：)）"
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
    packer = _Packer(
        document.text, tokenizer, max_tokens=max_tokens, overlap_tokens=min(overlap_tokens, max_tokens // 2)
    )
    units = _units(document, tokenizer, max_tokens=max_tokens)
    packed = ((section, group) for section in _sections(document, units) for group in packer.pack(section.units))
    return [_chunk(document, section, group, ordinal) for ordinal, (section, group) in enumerate(packed)]


def _units(document: ParsedDocument, tokenizer: Tokenizer, *, max_tokens: int) -> Iterator[_Unit]:
    spans = iter(_spans(document))
    while several := list(islice(spans, _COUNTED_AT_ONCE)):
        counts = _counts(tokenizer, [document.text[start:end] for start, end, _, _ in several], max_tokens)
        for (start, end, number, heading), tokens in zip(several, counts, strict=True):
            yield from _within(document.text, _Unit(start, end, tokens, number, heading), tokenizer, max_tokens)


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


def _counts(tokenizer: Tokenizer, texts: Sequence[str], limit: int) -> list[int]:
    """Tokens of each text; of one that is clearly longer than `limit` only that it is longer."""
    counted = tokenizer.counts([text[: limit * _CHARACTERS_PER_TOKEN] for text in texts])
    return [max(n, -(-len(text) // _CHARACTERS_PER_TOKEN)) for n, text in zip(counted, texts, strict=True)]


def _count_up_to(text: str, start: int, end: int, tokenizer: Tokenizer, limit: int) -> int:
    """The tokens of `text[start:end]` if they are at most `limit`, else more than that. Looks at no more than needed."""
    reach = limit + limit // 4
    while True:
        stop = min(end, start + reach)
        tokens = _counts(tokenizer, [text[start:stop]], limit)[0]
        if tokens > limit or stop == end:
            return tokens
        reach *= 2


def _within(text: str, unit: _Unit, tokenizer: Tokenizer, max_tokens: int) -> Iterator[_Unit]:
    """The unit itself, or the pieces it is cut into when it is longer than `max_tokens`."""
    while unit.tokens > max_tokens:
        head, rest = _cut(text, unit, tokenizer, max_tokens, max_tokens=max_tokens)
        yield head
        if rest is None:
            return
        unit = rest
    yield unit


def _cut(text: str, unit: _Unit, tokenizer: Tokenizer, limit: int, *, max_tokens: int) -> tuple[_Unit, _Unit | None]:
    """The longest head of a unit that has at most `limit` tokens, and what is left of the unit."""
    end = _soft_end(text, unit.start, _hard_end(text, unit, tokenizer, limit))
    while (tokens := _counts(tokenizer, [text[unit.start : end]], limit)[0]) > limit and end > unit.start + 1:
        end = max(unit.start + 1, unit.start + (end - unit.start) * limit // (tokens + 1))
    begin = end
    while begin < unit.end and text[begin].isspace():
        begin += 1
    head = replace(unit, end=end, tokens=tokens)
    if begin == unit.end:
        return head, None
    return head, replace(unit, start=begin, tokens=_count_up_to(text, begin, unit.end, tokenizer, max_tokens))


def _hard_end(text: str, unit: _Unit, tokenizer: Tokenizer, limit: int) -> int:
    """Where the first `limit` tokens of a unit end. Looks at no more text than needed: units may be megabytes."""
    reach = limit + limit // 4
    while True:
        stop = min(unit.end, unit.start + reach)
        ends = _token_ends(tokenizer.offsets(text[unit.start : stop]))
        if len(ends) > limit or stop == unit.end or reach >= limit * _CHARACTERS_PER_TOKEN:
            return min(unit.start + ends[:limit][-1], stop) if ends else stop
        reach *= 2


def _token_ends(offsets: Iterable[Span]) -> list[int]:
    """Where each token ends; one that stands for very many characters is counted as several."""
    ends: list[int] = []
    for start, end in offsets:
        ends.extend(range(start + _CHARACTERS_PER_TOKEN, end, _CHARACTERS_PER_TOKEN))
        ends.append(end)
    return ends


def _soft_end(text: str, start: int, end: int) -> int:
    least = start + int((end - start) * _SOFT_CUT)
    return next((at for at in range(end, least, -1) if text[at - 1] in _PAUSES), end)


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

    def __init__(self, text: str, tokenizer: Tokenizer, *, max_tokens: int, overlap_tokens: int) -> None:
        self._text = text
        self._tokenizer = tokenizer
        self._max = max_tokens
        self._overlap = overlap_tokens

    def pack(self, units: Sequence[_Unit]) -> Iterator[list[_Unit]]:
        pending = deque(units)
        current: list[_Unit] = []
        while pending:
            unit = pending.popleft()
            if _total(current) + unit.tokens <= self._max:
                current.append(unit)
            elif all(u.heading for u in current) and not unit.heading and (halves := self._halve(current, unit)):
                pending.extendleft(reversed(halves))
            else:
                full, carried = self._break(current)
                yield full
                current = self._overlapping(full, carried, unit)
                pending.appendleft(unit)
        if current:
            yield current

    def _halve(self, headings: Sequence[_Unit], unit: _Unit) -> tuple[_Unit, ...] | None:
        """Cut the first sentence under long headings so that they do not end a chunk alone."""
        room = self._max - _total(headings)
        if room < self._max // 4:
            return None
        head, rest = _cut(self._text, unit, self._tokenizer, room, max_tokens=self._max)
        return (head, rest) if rest else (head,)

    def _break(self, current: list[_Unit]) -> tuple[list[_Unit], list[_Unit]]:
        """Where a full chunk ends: before the last paragraph if it is full enough then, never after a heading."""
        at = len(current)
        for i in range(len(current) - 1, 0, -1):
            if _total(current[:i]) < self._max * _PARAGRAPH_FILL:
                break
            if current[i].block != current[i - 1].block:
                at = i
                break
        while at > 1 and current[at - 1].heading and not all(u.heading for u in current[:at]):
            at -= 1
        return current[:at], current[at:]

    def _overlapping(self, full: Sequence[_Unit], carried: list[_Unit], following: _Unit) -> list[_Unit]:
        room = min(self._overlap, self._max - _total(carried) - (0 if carried else following.tokens))
        tail: list[_Unit] = []
        for unit in takewhile(lambda u: not u.heading, reversed(full[1:])):
            room -= unit.tokens
            if room < 0:
                break
            tail.insert(0, unit)
        return tail + carried


def _total(units: Iterable[_Unit]) -> int:
    return sum(unit.tokens for unit in units)


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
