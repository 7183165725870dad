"""Grouping of texts into calls that the model can take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def micro_batches(lengths: Sequence[int], *, most_tokens: int) -> Iterator[list[int]]:
    """Positions of `lengths`, longest first, in groups whose padded size stays within `most_tokens`.

    A group is padded to its longest text, so texts of like length go together. A text longer than `most_tokens`
    goes alone.
    """
    group: list[int] = []
    width = 0
    for position in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        if group and width * (len(group) + 1) > most_tokens:
            yield group
            group = []
        if not group:
            width = max(1, lengths[position])
        group.append(position)
    if group:
        yield group
