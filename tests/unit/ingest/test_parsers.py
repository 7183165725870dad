"""What the parsers of texts make of real files."""

from __future__ import annotations

import pytest

from contracts.errors import ErrorCode
from tests.unit.ingest import files
from tests.unit.ingest.reading import BODY, read, refusal, shown
from workers.ingest.parsers.base import TextBuilder, normalise


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
