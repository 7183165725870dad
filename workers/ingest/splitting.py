"""Counts the tokens of sentences, and splits those that are too long for a chunk."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from contracts.documents import Span
from workers.ingest.tokenization import Tokenizer

# White space and words that the tokenizer takes for one unknown token fill a chunk too: so many characters are a token.
CHARACTERS_PER_TOKEN = 16
# A sentence is split at the last white space or comma in this last share of what fits.
_SOFT_SHARE = 0.3
_PAUSES = " \n\t，、,;；:：)）"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a sentence with its tokens."""

    start: int
    end: int
    tokens: int


class Splitter:
    """Measures and splits spans of one text."""

    def __init__(self, text: str, tokenizer: Tokenizer) -> None:
        self._text = text
        self._tokenizer = tokenizer

    def counts(self, spans: Sequence[Span], *, limit: int) -> list[int]:
        """The tokens of each span; of one longer than `limit` only that it is longer, however long it is."""
        reach = limit * CHARACTERS_PER_TOKEN
        counted = self._tokenizer.counts([self._text[start : min(end, start + reach)] for start, end in spans])
        return [max(n, _least_tokens(end - start)) for n, (start, end) in zip(counted, spans, strict=True)]

    def pieces(self, start: int, end: int, *, limit: int) -> Iterator[Piece]:
        """Split a span into pieces of at most `limit` tokens, at pauses where it has some. Only white space is lost."""
        start = self._skip_space(start, end)
        while start < end:
            # A window holds more than `limit` tokens unless it reaches the end: each token is CHARACTERS_PER_TOKEN at most.
            window_end = min(end, start + 2 * limit * CHARACTERS_PER_TOKEN)
            ends = self._token_ends(start, window_end)
            while (
                start < window_end
                and (remaining := len(ends) - bisect_right(ends, start))
                and (remaining > limit or window_end == end)
            ):
                piece = self._first(start, window_end, ends, limit=limit)
                yield piece
                start = self._skip_space(piece.end, end)

    def head(self, start: int, end: int, *, limit: int) -> Piece:
        """The first of the pieces."""
        return next(self.pieces(start, end, limit=limit))

    def _first(self, start: int, window_end: int, ends: Sequence[int], *, limit: int) -> Piece:
        begin = bisect_right(ends, start)
        if len(ends) - begin <= limit:
            return self._shrunk(Piece(start, window_end, len(ends) - begin), limit=limit)
        end = self._soft_end(start, ends[begin + limit - 1])
        return self._shrunk(Piece(start, end, bisect_right(ends, end) - begin), limit=limit)

    def _shrunk(self, piece: Piece, *, limit: int) -> Piece:
        """A word that is cut may have more tokens than its share of the whole one: then less of it is taken."""
        start, end, tokens = piece.start, piece.end, piece.tokens
        while self._cuts_word(start) or self._cuts_word(end):
            tokens = self.counts([(start, end)], limit=limit)[0]
            if tokens <= limit or end == start + 1:
                break
            end = max(start + 1, start + (end - start) * limit // (tokens + 1))
        tokens += self._cuts_word(end)  # the word may have one more when it is put together again in a chunk
        return Piece(start, self._without_space(start, end), min(tokens, limit))

    def _token_ends(self, start: int, end: int) -> list[int]:
        """Where each token ends; long tokens and white space count as several."""
        ends: list[int] = []
        last = start
        for _, token_end in [*self._tokenizer.offsets(self._text[start:end]), (0, end - start)]:
            ends.extend(range(last + CHARACTERS_PER_TOKEN, start + token_end, CHARACTERS_PER_TOKEN))
            if start + token_end > last:
                ends.append(start + token_end)
                last = start + token_end
        return ends

    def _soft_end(self, start: int, end: int) -> int:
        least = end - int((end - start) * _SOFT_SHARE)
        return next((at for at in range(end, least, -1) if self._text[at - 1] in _PAUSES), end)

    def _cuts_word(self, at: int) -> bool:
        around = self._text[max(0, at - 1) : at + 1]
        return len(around) == 2 and around.isalnum() and around[0] < "\u2e80"

    def _without_space(self, start: int, end: int) -> int:
        while end > start + 1 and self._text[end - 1].isspace():
            end -= 1
        return end

    def _skip_space(self, start: int, end: int) -> int:
        while start < end and self._text[start].isspace():
            start += 1
        return start


def _least_tokens(characters: int) -> int:
    return -(-characters // CHARACTERS_PER_TOKEN)
