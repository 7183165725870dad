"""What is made of printed pages."""

from __future__ import annotations

from contracts.errors import ErrorCode
from tests.unit.ingest import files
from tests.unit.ingest.reading import BODY, read, refusal, shown


class TestPdf:
    def test_pages_headings_and_paragraphs_are_found(self) -> None:
        content = files.pdf(
            [("Heading1", "Water report"), ("BodyText", BODY * 3)],
            [("Heading2", "Second part"), ("BodyText", BODY)],
        )
        document = read(content)
        assert shown(document) == [
            ("h1", "Water report"),
            ("paragraph", BODY * 3),
            ("h2", "Second part"),
            ("paragraph", BODY),
        ]
        assert [document.page_at(b.start) for b in document.blocks] == [1, 1, 2, 2]

    def test_running_heads_and_page_numbers_are_left_out(self) -> None:
        pages = [[("BodyText", f"{BODY} This is page {word}.")] for word in ("one", "two", "three")]
        text = read(files.pdf(*pages, header="Annual Report")).text
        assert "Annual Report" not in text
        assert "Page" not in text
        assert "This is page two." in text

    def test_a_sentence_goes_on_over_the_end_of_a_page(self) -> None:
        document = read(files.pdf([("BodyText", "It begins here and")], [("BodyText", "ends on the next page.")]))
        assert document.text == "It begins here and ends on the next page."
        assert [document.page_at(document.text.index(word)) for word in ("begins", "next")] == [1, 2]

    def test_words_broken_at_the_end_of_a_line_are_made_whole(self) -> None:
        assert "information" in read(files.pdf([("BodyText", "It is about infor-<br/>mation and more of it.")])).text

    def test_chinese_lines_are_joined_without_a_space(self) -> None:
        text = (
            "为了规范数据中心的运行管理，保障信息系统安全稳定运行，根据国家有关法律法规，结合本单位的实际情况，制定本办法。"
            * 3
        )
        document = read(files.pdf([("Heading1", "第一章 总则"), ("BodyText", text)], chinese=True))
        assert shown(document) == [("h1", "第一章 总则"), ("paragraph", text)]

    def test_rows_of_a_table_name_their_columns(self) -> None:
        rows = [("Item", "Price", "Stock"), ("Green tea", "3 EUR", "12"), ("Milk", "", "7")]
        content = files.pdf_with_table(rows, before="Before it.", after="After it.")
        assert shown(read(content)) == [
            ("paragraph", "Before it."),
            ("table_row", "Item: Green tea; Price: 3 EUR; Stock: 12"),
            ("table_row", "Item: Milk; Stock: 7"),
            ("paragraph", "After it."),
        ]

    def test_a_table_of_contents_makes_no_headings(self) -> None:
        content = files.pdf([("BodyText", "1. About this book 2"), ("BodyText", "2. The rest . . . . . . . 7")])
        assert [kind for kind, _ in shown(read(content))] == ["list_item", "list_item"]

    def test_an_item_keeps_the_lines_that_it_goes_on_over(self) -> None:
        content = files.pdf([("BodyText", f"• {BODY} {BODY}"), ("BodyText", "• Another one.")])
        assert shown(read(content)) == [("list_item", f"• {BODY} {BODY}"), ("list_item", "• Another one.")]

    def test_a_line_of_prose_that_begins_with_a_number_is_no_heading(self) -> None:
        text = f"{BODY} From this edition on a site holds no more<br/>28 colonies and that is what all its owners wanted to have in it as"
        (first, *_) = shown(read(files.pdf([("BodyText", f"{text} they said. {BODY}")])))
        assert first[0] == "paragraph"
        assert "no more 28 colonies" in first[1]

    def test_a_password_is_named(self) -> None:
        error = refusal(files.pdf([("BodyText", BODY)], password="secret"))
        assert error.code is ErrorCode.ENCRYPTED
        assert "Remove the password" in str(error)

    def test_a_scan_is_told_to_be_recognised(self) -> None:
        error = refusal(files.image_pdf())
        assert error.code is ErrorCode.IMAGE_ONLY
        assert str(error).startswith("The PDF has 2 pages but")
        assert str(refusal(files.image_pdf(pages=1))).startswith("The PDF has 1 page but")
        assert "OCR" in str(error)

    def test_blank_pages_are_empty(self) -> None:
        assert refusal(files.blank_pdf()).code is ErrorCode.EMPTY

    def test_a_torn_file_is_corrupt(self) -> None:
        assert refusal(b"%PDF-1.7\n" + b"garbage " * 50).code is ErrorCode.CORRUPT
