"""What chunks promise: exact offsets, nothing lost, bounded, in order, along the structure."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from contracts.documents import Chunk
from workers.ingest.chunking import chunk
from workers.ingest.parsers.base import BlockKind, ParsedDocument, TextBuilder
from workers.ingest.parsers.text import parse_text
from workers.ingest.sentences import sentence_spans
from workers.ingest.tokenization import EstimatingTokenizer, Tokenizer

ESTIMATE = EstimatingTokenizer()
ENGLISH = "The quick brown fox jumps over the lazy dog near the river bank. "
CHINESE = "为了规范数据中心的运行管理，保障信息系统安全稳定运行，制定本办法。"


def cut(
    document: ParsedDocument, *, max_tokens: int = 60, overlap_tokens: int = 0, by: Tokenizer = ESTIMATE
) -> list[Chunk]:
    return chunk(document, tokenizer=by, max_tokens=max_tokens, overlap_tokens=overlap_tokens)


def build(*blocks: tuple[str, str]) -> ParsedDocument:
    """Blocks as (kind, text); "h1", "h2" are headings, "p" paragraphs, "li" items, "/" a page break."""
    builder = TextBuilder()
    for kind, text in blocks:
        match kind:
            case "/":
                builder.new_page()
            case "p":
                builder.paragraph(text)
            case "li":
                builder.list_item(text)
            case _:
                builder.heading(text, int(kind[1]))
    return builder.build()


words = st.sampled_from(
    ["alpha", "be", "x" * 40, "数据", "中心。", "Dr.", "3.14", "end.", "Why?", "，", "ab" * 200, "\t", "é"]
)
texts = st.lists(words, min_size=1, max_size=60).map(" ".join)
blocks = st.lists(st.tuples(st.sampled_from(["p", "p", "p", "h1", "h2", "li", "/"]), texts), min_size=1, max_size=12)
documents = blocks.map(lambda made: build(*made))
relaxed = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)


class TestProperties:
    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    def test_a_chunk_is_exactly_its_range_of_the_text(self, document: ParsedDocument, size: int, overlap: int) -> None:
        for one in cut(document, max_tokens=size, overlap_tokens=overlap):
            assert one.text == document.text[one.start : one.end]

    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    def test_no_character_of_a_block_is_lost(self, document: ParsedDocument, size: int, overlap: int) -> None:
        covered = bytearray(len(document.text))
        for one in cut(document, max_tokens=size, overlap_tokens=overlap):
            covered[one.start : one.end] = b"\x01" * (one.end - one.start)
        assert all(covered[i] or document.text[i].isspace() for i in range(len(document.text)))

    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    def test_no_chunk_has_more_tokens_than_allowed(self, document: ParsedDocument, size: int, overlap: int) -> None:
        chunks = cut(document, max_tokens=size, overlap_tokens=overlap)
        assert max(ESTIMATE.counts([one.text for one in chunks]), default=0) <= size

    @settings(parent=relaxed, max_examples=40)
    @given(document=documents, size=st.integers(32, 120))
    @example(document=build(("h1", "中心。"), ("p", f"alpha {'ab' * 200} {'ab' * 200} 数据")), size=49)
    def test_the_encoders_own_tokens_are_bounded_too(
        self, tokenizer: Tokenizer, document: ParsedDocument, size: int
    ) -> None:
        chunks = cut(document, max_tokens=size, overlap_tokens=size // 4, by=tokenizer)
        assert max(tokenizer.counts([one.text for one in chunks]), default=0) <= size

    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    @example(
        document=build(("p", "alpha"), ("p", f"{'alpha ' * 8}be"), ("p", "alpha"), ("p", "ab" * 200)),
        size=34,
        overlap=17,
    )
    def test_chunks_come_in_order_and_each_goes_further(
        self, document: ParsedDocument, size: int, overlap: int
    ) -> None:
        chunks = cut(document, max_tokens=size, overlap_tokens=overlap)
        assert [one.ordinal for one in chunks] == list(range(len(chunks)))
        for before, after in pairwise(chunks):
            assert before.start < after.start
            assert before.end < after.end

    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    def test_sentences_lie_inside_their_chunk_in_order(self, document: ParsedDocument, size: int, overlap: int) -> None:
        for one in cut(document, max_tokens=size, overlap_tokens=overlap):
            ends = [0]
            for start, end in one.sentences:
                assert ends[-1] <= start < end <= len(one.text)
                assert one.text[start:end].strip() == one.text[start:end]
                ends.append(end)

    @relaxed
    @given(documents, st.integers(8, 120), st.integers(0, 60))
    def test_the_same_document_gives_the_same_chunks(self, document: ParsedDocument, size: int, overlap: int) -> None:
        assert cut(document, max_tokens=size, overlap_tokens=overlap) == cut(
            document, max_tokens=size, overlap_tokens=overlap
        )


class TestSentences:
    def test_a_sentence_that_fits_is_never_cut(self) -> None:
        document = build(("p", ENGLISH * 30))
        whole = {document.text[a:b] for a, b in sentence_spans(document.text)}
        for one in cut(document, max_tokens=100):
            assert {one.text[a:b] for a, b in one.sentences} <= whole

    def test_a_sentence_longer_than_a_chunk_is_cut_at_pauses(self) -> None:
        document = build(("p", "一二三四五六七八九十，" * 40))
        assert all(one.text.endswith("，") for one in cut(document, max_tokens=64))

    def test_megabytes_without_any_pause_are_cut(self) -> None:
        chunks = cut(ParsedDocument("x" * 300_000, parse_text("x" * 300_000).blocks), max_tokens=200)
        assert sum(one.end - one.start for one in chunks) == 300_000

    def test_a_long_run_of_white_space_does_not_fill_a_chunk_endlessly(self) -> None:
        document = parse_text("a" + " " * 20_000 + "b")
        assert all(len(one.text) <= 16 * 64 for one in cut(document, max_tokens=64))

    @pytest.mark.parametrize("blank", ["\n \n" * 20_000, " " * 60_000])
    @pytest.mark.parametrize("before", ["One. Two.", "Chapter 1 One"])
    def test_white_space_between_sentences_does_not_either(self, before: str, blank: str) -> None:
        chunks = cut(parse_text(f"{before}{blank}Three. Four."), max_tokens=64, overlap_tokens=20)
        assert [one.text for one in chunks] == [before, "Three. Four."]

    def test_headings_are_not_sentences(self) -> None:
        (one,) = cut(build(("h1", "Title"), ("p", "Only this. And this.")))
        assert [one.text[a:b] for a, b in one.sentences] == ["Only this.", "And this."]

    def test_chunks_of_chinese_are_as_long_as_a_paragraph(self, tokenizer: Tokenizer) -> None:
        chunks = cut(build(("p", CHINESE * 40)), max_tokens=256, overlap_tokens=40, by=tokenizer)
        assert all(200 <= len(one.text) <= 400 for one in chunks[:-1])


class TestOverlap:
    def test_a_chunk_begins_with_the_last_sentences_of_the_one_before(self) -> None:
        document = build(("p", " ".join(f"Sentence number {n} is here." for n in range(40))))
        first, second, *_ = cut(document, max_tokens=60, overlap_tokens=20)
        repeated = first.text[first.text.index(second.text[:20]) :]
        assert second.text.startswith(repeated)
        assert ESTIMATE.counts([repeated])[0] <= 20

    def test_without_overlap_nothing_is_repeated(self) -> None:
        chunks = cut(build(("p", ENGLISH * 30)), overlap_tokens=0)
        assert all(before.end <= after.start for before, after in pairwise(chunks))

    def test_nothing_is_repeated_across_sections(self) -> None:
        chunks = cut(build(("h1", "A"), ("p", ENGLISH), ("h1", "B"), ("p", ENGLISH)), overlap_tokens=30)
        assert [one.text.split("\n")[0] for one in chunks] == ["A", "B"]


class TestStructure:
    def test_a_section_begins_a_chunk(self) -> None:
        chunks = cut(build(("h1", "A"), ("p", "One."), ("h2", "B"), ("p", "Two."), ("h1", "C"), ("p", "Three.")))
        assert [(one.heading, one.text) for one in chunks] == [
            ("A", "A\n\nOne."),
            ("A › B", "B\n\nTwo."),
            ("C", "C\n\nThree."),
        ]

    def test_headings_in_a_row_go_with_what_follows(self) -> None:
        (one,) = cut(build(("h1", "A"), ("h2", "B"), ("p", "Text.")))
        assert (one.text, one.heading) == ("A\n\nB\n\nText.", "A › B")

    def test_a_heading_does_not_end_a_chunk_alone_before_a_sentence_that_does_not_fit(self) -> None:
        document = build(("h1", "A heading of some words"), ("p", "word " * 59 + "end."))
        first, *_ = cut(document, max_tokens=62)
        assert first.text.startswith("A heading of some words\n\nword")

    def test_a_chunk_that_is_full_enough_ends_with_a_paragraph(self) -> None:
        document = build(("p", ENGLISH * 2), ("p", ENGLISH * 2), ("p", ENGLISH))
        first, *_ = cut(document, max_tokens=80)
        assert first.text.endswith("bank.")
        assert document.text[first.end : first.end + 2] == "\n\n"

    def test_a_chunk_names_the_page_that_it_begins_on(self) -> None:
        document = build(("/", ""), ("p", ENGLISH * 3), ("/", ""), ("p", ENGLISH * 3))
        assert [one.page for one in cut(document, max_tokens=70)] == [1, 2]

    def test_formats_without_pages_have_none(self) -> None:
        assert [one.page for one in cut(build(("p", "Text.")))] == [None]

    def test_lines_of_code_are_not_torn_apart(self) -> None:
        builder = TextBuilder()
        builder.code("\n".join(f"value_{n} = compute({n}) + other.attribute" for n in range(40)))
        for one in cut(builder.build(), max_tokens=60):
            assert one.text.startswith("value_")
            assert one.text.endswith("attribute")

    def test_a_document_of_headings_alone_is_not_lost(self) -> None:
        (one,) = cut(build(("h1", "A"), ("h1", "B")))
        assert one.text == "A\n\nB"

    def test_blocks_know_their_kind(self) -> None:
        document = build(("h1", "A"), ("li", "b"), ("li", "c"))
        assert [block.kind for block in document.blocks] == [
            BlockKind.HEADING,
            BlockKind.LIST_ITEM,
            BlockKind.LIST_ITEM,
        ]
        assert document.text == "A\n\nb\nc"


@pytest.mark.parametrize("text", ["Plain english words, and more.", "中文字符。", "mixed 中文 text", "foo_bar(x)"])
def test_the_estimate_counts_at_least_as_many_tokens_as_there_are_words(text: str) -> None:
    assert ESTIMATE.counts([text])[0] >= len(text.split())
    assert len(ESTIMATE.offsets(text)) == ESTIMATE.counts([text])[0]
