"""What a file is, whatever it is called."""

from __future__ import annotations

import json

import pytest

from contracts.errors import DocumentError, ErrorCode
from tests.unit.ingest import files
from workers.ingest.decoding import decode
from workers.ingest.detection import detect
from workers.ingest.media_types import MediaType

ZH = "今年的年度报告显示，公司在第三季度的收入增长了百分之十二，主要来自海外市场。管理层认为这一趋势将会持续。"
TW = "本公司於今年第三季度之營收成長百分之十二，主要來自海外市場。管理階層認為此趨勢將會持續下去，並且計畫擴大投資。"
JA = "今年の第三四半期の売上高は、海外市場を中心に前年同期比で十二パーセント増加しました。"
DE = "Die Größe der Straße überraschte die Prüfer, weil die Maßnahmen früher günstiger wären. Café déjà vu."
RU = "Выручка компании в третьем квартале выросла на двенадцать процентов, главным образом за счёт рынков."


def kind(content: bytes | str, name: str = "upload") -> MediaType:
    return detect(content.encode() if isinstance(content, str) else content, name=name).media_type


def refusal(content: bytes, name: str = "upload") -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        detect(content, name=name)
    return caught.value


@pytest.mark.parametrize("name", ["report.pdf", "report.txt", "report", "报告.docx"])
class TestTheNameDoesNotDecide:
    def test_a_pdf_is_a_pdf(self, name: str) -> None:
        assert kind(files.pdf([("BodyText", "Hello.")]), name) is MediaType.PDF

    def test_a_word_document_is_one(self, name: str) -> None:
        assert kind(files.word(lambda d: d.add_paragraph("Hello.")), name) is MediaType.DOCX

    def test_a_presentation_is_one(self, name: str) -> None:
        assert kind(files.slides(("Title", ["point"])), name) is MediaType.PPTX

    def test_a_workbook_is_one(self, name: str) -> None:
        assert kind(files.workbook({"S": [["a", "b"]]}), name) is MediaType.XLSX

    def test_a_page_is_html(self, name: str) -> None:
        assert kind("\n<!-- x --><!DOCTYPE html><html><body><p>Hi</p></body></html>", name) is MediaType.HTML

    def test_json_is_json(self, name: str) -> None:
        assert kind('{"a": [1, 2]}', name) is MediaType.JSON

    def test_json_lines_are_that(self, name: str) -> None:
        assert kind('{"a": 1}\n{"a": 2}\n', name) is MediaType.JSON_LINES

    def test_a_mail_is_one(self, name: str) -> None:
        assert kind(files.mail("Subject", "Text."), name) is MediaType.EMAIL

    def test_an_archive_is_refused(self, name: str) -> None:
        error = refusal(files.archive({"a.txt": b"a", "b.txt": b"b"}), name)
        assert error.code is ErrorCode.UNSUPPORTED_TYPE
        assert "a ZIP archive of 2 files" in str(error)
        assert "Unpack it" in str(error)


class TestTextsThatLookAlike:
    MARKDOWN = "# Title\n\nSome **bold** text.\n\n- one\n- two\n\n[link](https://example.org)\n"
    TABLE = "name,price,stock\ntea,3,10\ncoffee,4,20\n"

    def test_markdown_is_told_by_its_markup_when_the_name_says_nothing(self) -> None:
        assert kind(self.MARKDOWN) is MediaType.MARKDOWN

    def test_the_name_settles_what_may_be_either(self) -> None:
        assert kind("Just a sentence.", "a.md") is MediaType.MARKDOWN
        assert kind(self.MARKDOWN, "a.txt") is MediaType.TEXT
        assert kind(self.TABLE, "a.txt") is MediaType.TEXT
        assert kind("a;b\n1;2\n", "a.csv") is MediaType.CSV

    def test_a_table_is_told_by_its_columns(self) -> None:
        assert kind(self.TABLE) is MediaType.CSV

    def test_prose_with_commas_is_not_a_table(self) -> None:
        prose = (
            "We came, we saw, and we left again with nothing.\nThey stayed, as they said, for a good long while.\n" * 3
        )
        assert kind(prose) is MediaType.TEXT

    def test_a_program_is_plain_text(self) -> None:
        assert kind("#!/bin/sh\n# comment\n- x\n```\n[a](b)\n", "run.sh") is MediaType.TEXT

    def test_text_that_begins_like_json_is_plain_text(self) -> None:
        assert kind("{not json} but a sentence.") is MediaType.TEXT

    def test_a_list_of_fields_is_not_a_mail(self) -> None:
        assert kind("Name: Ann\nRole: Cook\n\nShe cooks.") is MediaType.TEXT

    def test_comments_at_the_beginning_are_looked_over_in_no_time(self) -> None:
        comments = "<!-- a note -->\n" * 2000
        assert kind(comments + "# Title\n\nText.", "a.md") is MediaType.MARKDOWN
        assert kind(comments + "<html><body>Text") is MediaType.HTML

    def test_a_fragment_of_html_is_html(self) -> None:
        assert kind("<div><p>One</p><p>Two</p></div>") is MediaType.HTML

    def test_json_nested_without_end_is_still_json(self) -> None:
        assert kind("[" * 100_000 + "]" * 100_000) is MediaType.JSON


class TestRefusals:
    @pytest.mark.parametrize("content", [b"", b" \n\t ", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00" * 50])
    def test_nothing_is_empty(self, content: bytes) -> None:
        assert refusal(content).code is ErrorCode.EMPTY

    def test_office_files_with_a_password_say_so(self) -> None:
        error = refusal(files.encrypted_office())
        assert error.code is ErrorCode.ENCRYPTED
        assert "Remove the password" in str(error)

    def test_old_office_files_are_named(self) -> None:
        error = refusal(files.legacy_office())
        assert error.code is ErrorCode.UNSUPPORTED_TYPE
        assert "before 2007" in str(error)

    def test_a_picture_is_told_to_be_recognised(self) -> None:
        error = refusal(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "scan.pdf")
        assert error.code is ErrorCode.UNSUPPORTED_TYPE
        assert "OCR" in str(error)
        assert "Portable Network Graphics" in str(error)

    def test_unknown_bytes_are_refused(self) -> None:
        assert "binary data of an unknown kind" in str(refusal(bytes(range(256)) * 20))

    @pytest.mark.parametrize(
        ("mimetype", "seems"),
        [("application/epub+zip", "EPUB"), ("application/vnd.oasis.opendocument.text", "OpenDocument text")],
    )
    def test_other_containers_are_named(self, mimetype: str, seems: str) -> None:
        error = refusal(files.archive({"mimetype": mimetype.encode(), "content.xml": b"<x/>"}))
        assert error.code is ErrorCode.UNSUPPORTED_TYPE
        assert seems in str(error)

    def test_a_torn_container_is_corrupt(self) -> None:
        whole = files.word(lambda d: d.add_paragraph("Hello."))
        assert refusal(whole[: len(whole) // 2]).code is ErrorCode.CORRUPT

    def test_a_container_that_unpacks_to_far_more_is_too_large(self) -> None:
        bomb = files.archive({"[Content_Types].xml": b"<x/>", "word/document.xml": bytes(64 * 1024 * 1024)})
        assert refusal(bomb).code is ErrorCode.TOO_LARGE

    def test_a_container_of_very_many_parts_is_too_large(self) -> None:
        assert refusal(files.archive({f"xl/{n}": b"" for n in range(10_001)})).code is ErrorCode.TOO_LARGE

    def test_rich_text_is_not_taken_for_plain_text(self) -> None:
        assert refusal(rb"{\rtf1\ansi Hello.\par}").code is ErrorCode.UNSUPPORTED_TYPE


class TestDecoding:
    @pytest.mark.parametrize(
        ("text", "encoding"),
        [
            (ZH, "utf-8"),
            (ZH, "utf-8-sig"),
            (ZH, "utf-16"),
            (ZH, "utf-16-le"),
            (ZH, "utf-32"),
            (ZH, "gb18030"),
            (ZH[:8], "gbk"),
            (ZH * 3000, "gb18030"),
            ("x" + ZH * 3000, "gb18030"),
            (TW, "big5"),
            (JA, "cp932"),
            (DE, "cp1252"),
            ("Café au lait", "cp1252"),
            (DE, "utf-16-be"),
            (RU, "cp1251"),
            (RU, "koi8_r"),
        ],
    )
    def test_text_is_read_in_the_charset_it_was_written_in(self, text: str, encoding: str) -> None:
        assert decode(text.encode(encoding)) == text

    def test_html_may_say_its_charset(self) -> None:
        page = '<html><head><meta charset="gb2312"></head><body>你好</body></html>'
        assert decode(page.encode("gbk")) == page

    def test_a_broken_character_does_not_spoil_the_rest(self) -> None:
        assert decode((ZH * 20).encode()[:-1]) == (ZH * 20)[:-1] + "\ufffd"

    def test_a_few_nul_bytes_do_not_make_text_binary(self) -> None:
        assert decode(b"hello\x00world, this is text") is not None

    @pytest.mark.parametrize("seed", range(5))
    def test_noise_is_not_text(self, seed: int) -> None:
        import random

        assert decode(random.Random(seed).randbytes(2000)) is None

    def test_every_kind_of_text_is_decoded_once(self) -> None:
        assert json.loads(detect('{"a": "你好"}'.encode("utf-16"), name="x").text) == {"a": "你好"}
