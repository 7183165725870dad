"""What each parser makes of a real file."""

from __future__ import annotations

import pytest
from docx.document import Document

from contracts.errors import DocumentError, ErrorCode
from tests.unit.ingest import files
from workers.ingest.extraction import parse
from workers.ingest.parsers.base import BlockKind, ParsedDocument, TextBuilder, normalise

BODY = "The broker stores every message before it answers, and nothing is lost when it stops."


def read(content: bytes | str, name: str = "upload") -> ParsedDocument:
    return parse(content.encode() if isinstance(content, str) else content, name=name).document


def shown(document: ParsedDocument) -> list[tuple[str, str]]:
    """Blocks as ("h1", text) for headings and (kind, text) for others."""
    return [
        (f"h{b.level}" if b.kind is BlockKind.HEADING else b.kind.value, document.text[b.start : b.end])
        for b in document.blocks
    ]


def refusal(content: bytes, name: str = "upload") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parse(content, name=name)
    return caught.value


class TestBlocks:
    def test_blocks_cover_the_text_in_order(self) -> None:
        builder = TextBuilder()
        builder.heading(" A\n title ", 1)
        builder.paragraph("  some   text\r\nhere \x00")
        builder.table_row([("a", "1"), ("", "x"), ("b", "")])
        document = builder.build()
        assert shown(document) == [("h1", "A title"), ("paragraph", "some text\nhere"), ("table_row", "a: 1; x")]
        assert "".join(document.text[b.start : b.end] for b in document.blocks) == "A titlesome text\nherea: 1; x"

    def test_text_is_normalised(self) -> None:
        assert normalise("e\u0301\r\na\u00adb\u200b\ud800\x00 \u00a0\n") == "é\nab\n"


class TestText:
    def test_blank_lines_separate_paragraphs(self) -> None:
        assert shown(read("One.\n\nTwo.\n", "a.txt")) == [("paragraph", "One."), ("paragraph", "Two.")]

    def test_wrapped_lines_stay_together(self) -> None:
        text = "This line is wrapped at about sixty characters, as mails are,\nand it goes on here. It is one paragraph of them."
        assert len(read(text, "a.txt").blocks) == 1

    def test_a_line_that_ends_early_ends_its_paragraph(self) -> None:
        text = (
            f"A short line\n{BODY}\nand so on it goes for a while until it finally reaches its end in the text here.\n"
        )
        assert shown(read(text, "a.txt"))[0] == ("paragraph", "A short line")

    @pytest.mark.parametrize(
        ("line", "level"),
        [("第三章 数据管理", 1), ("2.1 Results of the trial", 2), ("Chapter 4: Water", 1), ("一、总则", 1)],
    )
    def test_headings_are_known_by_their_wording(self, line: str, level: int) -> None:
        assert shown(read(f"{line}\n\n{BODY}", "a.txt")) == [(f"h{level}", line), ("paragraph", BODY)]

    @pytest.mark.parametrize("line", ["3 apples were eaten.", "2024 was dry", "一、买菜，做饭。"])
    def test_sentences_are_not_headings(self, line: str) -> None:
        assert shown(read(f"{line}\n\n{BODY}", "a.txt"))[0] == ("paragraph", line)

    def test_the_text_is_kept_as_it_is(self) -> None:
        text = "Line one\n  indented\ttext\n\n\nafter"
        assert read(text, "a.txt").text == text


class TestMarkdown:
    def test_structure_is_kept_and_markup_left_out(self) -> None:
        text = (
            "---\ntitle: Guide\n---\n# Set *up*\n\nRead [this](https://x.org) **now**,\nplease.\n\n- one\n- two `x`\n\n"
            "| Item | Price |\n|---|---|\n| Tea | 3 |\n\n```python\nprint(1)\n```\n\n> quoted\n\n<p>html <b>here</b></p>\n"
        )
        assert shown(read(text, "a.md")) == [
            ("list_item", "title: Guide"),
            ("h1", "Set up"),
            ("paragraph", "Read this now, please."),
            ("list_item", "one"),
            ("list_item", "two x"),
            ("table_row", "Item: Tea; Price: 3"),
            ("code", "print(1)"),
            ("paragraph", "quoted"),
            ("paragraph", "html here"),
        ]

    def test_chinese_lines_are_joined_without_a_space(self) -> None:
        assert read("数据\n中心", "a.md").text == "数据中心"


class TestHtml:
    def test_a_page_is_read_without_its_furniture(self) -> None:
        page = """<html><head><title>T</title><style>p{}</style></head><body>
        <nav><a href="/">Home</a></nav><script>alert(1)</script>
        <h1>Water <em>report</em></h1><p>First <b>part</b><br>second.</p><p style="display:none">secret</p><p hidden>no</p>
        <ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>
        <table><tr><th>Item</th><th>Price</th></tr><tr><td>Tea</td><td>3</td></tr></table>
        <pre>a\n  b</pre><div>loose <span>text</span></div><footer>Imprint</footer></body></html>"""
        assert shown(read(page)) == [
            ("h1", "Water report"),
            ("paragraph", "First part\nsecond."),
            ("list_item", "one"),
            ("list_item", "inner"),
            ("list_item", "two"),
            ("table_row", "Item: Tea; Price: 3"),
            ("code", "a\n  b"),
            ("paragraph", "loose text"),
        ]

    def test_the_title_is_a_heading_where_there_is_no_other(self) -> None:
        assert shown(read("<html><head><title>T</title></head><body>x</body></html>")) == [
            ("h1", "T"),
            ("paragraph", "x"),
        ]

    def test_only_the_main_part_is_read_where_there_is_one(self) -> None:
        assert read("<html><body><div>ad</div><main><p>text</p></main></body></html>").text == "text"

    def test_a_page_that_is_all_furniture_is_read_whole(self) -> None:
        assert read("<html><body><form><p>All of it</p></form></body></html>").text == "All of it"

    def test_layout_tables_are_looked_through(self) -> None:
        page = "<html><body><table><tr><td><p>left</p><table><tr><td>inner</td></tr></table></td></tr></table></body></html>"
        assert [text for _, text in shown(read(page))] == ["left", "inner"]

    def test_files_are_not_included_by_entities(self) -> None:
        page = '<!DOCTYPE html [<!ENTITY x SYSTEM "file:///etc/passwd">]><html><body><p>a &x; b</p></body></html>'
        assert "root" not in read(page).text

    def test_very_deep_nesting_is_refused(self) -> None:
        error = refusal(b"<html><body>" + b"<div>" * 5000 + b"deep")
        assert error.code is ErrorCode.CORRUPT
        assert "nested" in str(error)


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
        assert "OCR" in str(error)

    def test_blank_pages_are_empty(self) -> None:
        assert refusal(files.blank_pdf()).code is ErrorCode.EMPTY

    def test_a_torn_file_is_corrupt(self) -> None:
        assert refusal(b"%PDF-1.7\n" + b"garbage " * 50).code is ErrorCode.CORRUPT


class TestWord:
    def test_headings_lists_and_tables_come_in_reading_order(self) -> None:
        def fill(document: Document) -> None:
            document.add_heading("Report", 0)
            document.add_heading("Part one", 1)
            document.add_paragraph("Before the table.")
            table = document.add_table(2, 2)
            for column, (header, value) in enumerate((("Item", "Tea"), ("Price", "3"))):
                table.cell(0, column).text = header
                table.cell(1, column).text = value
            document.add_paragraph("a point", style="List Bullet")
            document.add_heading("Part two", 2)

        assert shown(read(files.word(fill))) == [
            ("h1", "Report"),
            ("h1", "Part one"),
            ("paragraph", "Before the table."),
            ("table_row", "Item: Tea; Price: 3"),
            ("list_item", "a point"),
            ("h2", "Part two"),
        ]

    def test_inserted_text_counts_and_deleted_text_does_not(self) -> None:
        w = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
        body = (
            f'<w:document xmlns:w="{w}"><w:body><w:p><w:r><w:t>kept </w:t></w:r><w:ins><w:r><w:t>added</w:t></w:r></w:ins>'
            "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del></w:p>"
            "<w:sdt><w:sdtContent><w:p><w:r><w:t>in a control</w:t></w:r></w:p></w:sdtContent></w:sdt></w:body></w:document>"
        )
        assert [text for _, text in shown(read(files.word_with_body(body.encode())))] == ["kept added", "in a control"]

    def test_a_document_without_text_is_empty(self) -> None:
        assert refusal(files.word(lambda document: None)).code is ErrorCode.EMPTY

    def test_a_document_part_that_is_no_xml_is_corrupt(self) -> None:
        error = refusal(files.word_with_body(b"<w:document"))
        assert error.code is ErrorCode.CORRUPT
        assert "DOCX" in str(error)


class TestSlides:
    def test_each_slide_is_a_page_with_its_title(self) -> None:
        document = read(files.slides(("First", ["one", "two"]), ("Second", ["three"])))
        assert shown(document) == [
            ("h1", "First"),
            ("list_item", "one"),
            ("list_item", "two"),
            ("h1", "Second"),
            ("paragraph", "three"),
        ]
        assert [document.page_at(b.start) for b in document.blocks] == [1, 1, 1, 2, 2]

    def test_tables_and_notes_are_read(self) -> None:
        assert shown(read(files.slide_with_table_and_notes()))[1:] == [
            ("table_row", "Item: Tea; Price: 3 EUR"),
            ("paragraph", "Mention the discount."),
        ]


class TestTables:
    def test_every_row_of_a_workbook_names_its_columns(self) -> None:
        document = read(
            files.workbook({"Stock": [["Item", "Price"], ["Tea", 3], ["Milk", 1.5]], "More": [["only", 1]]})
        )
        assert shown(document) == [
            ("h1", "Stock"),
            ("table_row", "Item: Tea; Price: 3"),
            ("table_row", "Item: Milk; Price: 1.5"),
            ("h1", "More"),
            ("table_row", "only; 1"),
        ]
        assert document.page_at(document.text.index("More")) == 2

    def test_hidden_sheets_are_left_out(self) -> None:
        assert "secret" not in read(files.workbook({"A": [["a", "b"], [1, 2]], "B": [["secret"]]}, hidden="B")).text

    def test_every_record_of_a_csv_names_its_columns(self) -> None:
        assert shown(read('name;price\ntea;"3;5"\nmilk;2\n', "a.csv")) == [
            ("table_row", "name: tea; price: 3;5"),
            ("table_row", "name: milk; price: 2"),
        ]

    def test_a_csv_without_headers_is_read_as_it_is(self) -> None:
        assert shown(read("1,2\n3,4\n", "a.csv")) == [("table_row", "1; 2"), ("table_row", "3; 4")]


class TestJson:
    def test_records_are_rows_and_long_texts_paragraphs(self) -> None:
        document = read(
            '{"name": "Tea", "tags": ["a", "b"], "text": "%s", "items": [{"x": 1, "y": {"z": null}}]}' % (BODY * 4)
        )
        assert shown(document) == [
            ("table_row", "name: Tea; tags: a, b"),
            ("h2", "text"),
            ("paragraph", BODY * 4),
            ("h2", "items"),
            ("table_row", "x: 1"),
        ]

    def test_json_lines_are_records(self) -> None:
        assert [text for _, text in shown(read('{"a": 1}\n{"a": true}\n'))] == ["a: 1", "a: true"]

    def test_a_torn_line_is_named(self) -> None:
        assert "Line 7" in str(refusal(b'{"a": 1}\n' * 6 + b'{"a": '))

    @pytest.mark.parametrize("content", [b"[" * 100 + b"]" * 100, b"[" * 100_000 + b"]" * 100_000])
    def test_deep_nesting_is_refused(self, content: bytes) -> None:
        error = refusal(content)
        assert error.code is ErrorCode.CORRUPT
        assert "nested" in str(error)

    def test_lone_surrogates_are_dropped(self) -> None:
        assert read('{"a": "x\\ud800y", "b": 1}').text == "a: xy; b: 1"


class TestMail:
    def test_fields_text_and_attachments_are_read(self) -> None:
        mail = files.mail("数据 plan", "First.\n\nSecond.", html="<p>no</p>", attachment="plan.pdf")
        assert shown(read(mail)) == [
            ("h1", "数据 plan"),
            ("list_item", "From: Ann <ann@example.org>"),
            ("list_item", "To: Bo <bo@example.org>"),
            ("list_item", "Date: Mon, 04 Mar 2024 10:00:00 +0000"),
            ("paragraph", "First."),
            ("paragraph", "Second."),
            ("list_item", "Attachment: plan.pdf"),
        ]

    def test_html_is_read_where_there_is_no_plain_text(self) -> None:
        mail = b"From: a@x.org\nMIME-Version: 1.0\nContent-Type: text/html; charset=utf-8\n\n<p>Hello <b>you</b></p>"
        assert read(mail).text.endswith("Hello you")

    def test_an_unknown_charset_is_guessed(self) -> None:
        mail = b"From: a@x.org\nMIME-Version: 1.0\nContent-Type: text/plain; charset=nonsense\n\nHello you"
        assert read(mail).text.endswith("Hello you")
