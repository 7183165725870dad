"""Server-sent events are read from bytes, however these arrive."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.endpoints.sse import MAX_EVENT_BYTES, EventDecoder, EventTooLargeError

ODD_SIGNS = "a\u2028b\u2029c\u0085d\x0be\x1cf蜜蜂"


def decoded(stream: bytes, *cuts: int) -> list[str]:
    decoder, edges = EventDecoder(), [0, *sorted(cuts), len(stream)]
    return [data for a, b in pairwise(edges) for data in decoder.feed(stream[a:b])]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_every_way_the_standard_knows(end: str) -> None:
    stream = f": hello{end}event: x{end}data: one{end}data:two{end}{end}id: 3{end}data: three{end}{end}: bye{end}"
    assert decoded(stream.encode()) == ["one\ntwo", "three"]


@given(st.lists(st.text(), max_size=4), st.lists(st.integers(0, 200)), st.sampled_from(["\n", "\r\n", "\r"]))
def test_it_does_not_matter_where_the_bytes_are_cut(texts: list[str], cuts: list[int], end: str) -> None:
    data = [json.dumps(text, ensure_ascii=False) for text in [*texts, ODD_SIGNS]]
    stream = "".join(f"data: {one}{end}{end}" for one in data).encode("utf-8", "replace")
    expected = [one.encode("utf-8", "replace").decode() for one in data]
    found = decoded(stream + b":", *(min(cut, len(stream)) for cut in cuts))
    assert found == expected


def test_signs_that_python_takes_for_line_ends_are_text() -> None:
    assert len(ODD_SIGNS.splitlines()) > 1
    assert decoded(f"data: {ODD_SIGNS}\n\n".encode()) == [ODD_SIGNS]


def test_an_event_that_is_cut_off_is_not_told() -> None:
    assert decoded(b"data: one\n\ndata: two\n") == ["one"]


@pytest.mark.parametrize("line", [b"data: " + b"a" * 1000 + b"\n", b"a" * 1000])
def test_an_event_without_end_is_refused(line: bytes) -> None:
    decoder = EventDecoder()

    def feed() -> None:
        for _ in range(2 * MAX_EVENT_BYTES // 1000):
            list(decoder.feed(line))

    with pytest.raises(EventTooLargeError):
        feed()
