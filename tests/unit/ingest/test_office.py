"""What is made of documents, slides and tables."""

from __future__ import annotations

import pytest
from docx.document import Document

from contracts.errors import ErrorCode
from tests.unit.ingest import files
from tests.unit.ingest.reading import read, refusal, shown
from workers.ingest.parsers import xlsx
from workers.ingest.parsers.base import Source
from workers.ingest.parsers.xlsx import parse_xlsx


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

    def test_rows_are_as_long_as_they_are_filled(self, monkeypatch: pytest.MonkeyPatch) -> None:
        widths: list[int] = []
        monkeypatch.setattr(xlsx, "add_table", lambda _, rows: widths.extend(len(row) for row in rows))
        parse_xlsx(Source(files.workbook({"A": [["a", "b"], [1, 2], [0] * 600]}), ""))
        assert widths == [2, 2, xlsx.MAX_COLUMNS]

    def test_hidden_sheets_are_left_out(self) -> None:
        assert "secret" not in read(files.workbook({"A": [["a", "b"], [1, 2]], "B": [["secret"]]}, hidden="B")).text

    def test_every_record_of_a_csv_names_its_columns(self) -> None:
        assert shown(read('name;price\ntea;"3;5"\nmilk;2\n', "a.csv")) == [
            ("table_row", "name: tea; price: 3;5"),
            ("table_row", "name: milk; price: 2"),
        ]

    def test_a_csv_without_headers_is_read_as_it_is(self) -> None:
        assert shown(read("1,2\n3,4\n", "a.csv")) == [("table_row", "1; 2"), ("table_row", "3; 4")]
