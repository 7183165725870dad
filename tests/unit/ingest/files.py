"""Makes real files for the tests, with the libraries that people's programs use."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Sequence
from email.message import EmailMessage

import docx
import openpyxl
import pptx
from docx.document import Document
from pptx.util import Inches
from reportlab.lib.pagesizes import A4
from reportlab.lib.pdfencrypt import StandardEncryption
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import cm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import PageBreak, Paragraph, SimpleDocTemplate, Table

CHINESE_FONT = "STSong-Light"


def pdf(
    *pages: Sequence[tuple[str, str]], password: str | None = None, header: str = "", chinese: bool = False
) -> bytes:
    """A PDF; each page is a list of (style, text), styles are "Heading1", "Heading2" and "BodyText"."""
    styles = getSampleStyleSheet()
    if chinese:
        pdfmetrics.registerFont(UnicodeCIDFont(CHINESE_FONT))
        for style in ("Heading1", "Heading2", "BodyText"):
            styles[style].fontName = CHINESE_FONT
            styles[style].wordWrap = "CJK"
    story: list[object] = []
    for page in pages:
        story += [Paragraph(text, styles[style]) for style, text in page]
        story.append(PageBreak())

    def furniture(canvas: Canvas, document: SimpleDocTemplate) -> None:
        if header:
            canvas.setFont("Helvetica", 8)
            canvas.drawString(2 * cm, 28.5 * cm, header)
            canvas.drawCentredString(10 * cm, 1 * cm, f"Page {document.page}")

    file = io.BytesIO()
    encrypt = StandardEncryption(password, canPrint=0) if password else None
    template = SimpleDocTemplate(file, pagesize=A4, encrypt=encrypt)
    template.build(story, onFirstPage=furniture, onLaterPages=furniture)
    return file.getvalue()


def pdf_with_table(rows: Sequence[Sequence[str]], *, before: str, after: str) -> bytes:
    body = getSampleStyleSheet()["BodyText"]
    file = io.BytesIO()
    table = Table([list(row) for row in rows], colWidths=[5 * cm] * len(rows[0]))
    SimpleDocTemplate(file, pagesize=A4).build([Paragraph(before, body), table, Paragraph(after, body)])
    return file.getvalue()


def image_pdf(pages: int = 2) -> bytes:
    """A scan: pages that hold a picture and no text."""
    from PIL import Image

    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    for _ in range(pages):
        canvas.drawInlineImage(Image.new("RGB", (60, 80), "gray"), 50, 50, 400, 600)
        canvas.showPage()
    canvas.save()
    return file.getvalue()


def blank_pdf() -> bytes:
    file = io.BytesIO()
    canvas = Canvas(file, pagesize=A4)
    canvas.showPage()
    canvas.save()
    return file.getvalue()


def empty_pages(number: int) -> bytes:
    """A PDF of very many pages, written by hand: libraries take minutes for it."""
    kids = b" ".join(b"3 0 R" for _ in range(number))
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Count %d/Kids[%s]>>" % (number, kids),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]>>",
    ]
    content, offsets = b"%PDF-1.4\n", []
    for index, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (index, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    trailer = b"trailer\n<</Size 4/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % len(content)
    return content + b"xref\n0 4\n0000000000 65535 f \n" + table + trailer


def word(fill: Callable[[Document], object]) -> bytes:
    document = docx.Document()
    fill(document)
    return _saved(document.save)


def slides(*pages: tuple[str, Sequence[str]]) -> bytes:
    """A presentation of (title, bullet points)."""
    presentation = pptx.Presentation()
    for title, points in pages:
        slide = presentation.slides.add_slide(presentation.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = "\n".join(points)
    return _saved(presentation.save)


def slide_with_table_and_notes() -> bytes:
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[5])
    slide.shapes.title.text = "Prices"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(2), Inches(4), Inches(1)).table
    for column, (header, value) in enumerate((("Item", "Tea"), ("Price", "3 EUR"))):
        table.cell(0, column).text = header
        table.cell(1, column).text = value
    slide.notes_slide.notes_text_frame.text = "Mention the discount."
    return _saved(presentation.save)


def workbook(sheets: dict[str, Sequence[Sequence[object]]], *, hidden: str | None = None) -> bytes:
    book = openpyxl.Workbook()
    del book[book.sheetnames[0]]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(list(row))
        sheet.sheet_state = "hidden" if name == hidden else "visible"
    return _saved(book.save)


def mail(subject: str, text: str, *, html: str | None = None, attachment: str | None = None) -> bytes:
    message = EmailMessage()
    message["From"] = "Ann <ann@example.org>"
    message["To"] = "Bo <bo@example.org>"
    message["Date"] = "Mon, 04 Mar 2024 10:00:00 +0000"
    message["Message-ID"] = "<1@example.org>"
    message["Subject"] = subject
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    if attachment:
        message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename=attachment)
    return message.as_bytes()


def archive(members: dict[str, bytes], *, compressed: bool = True) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compressed else zipfile.ZIP_STORED) as container:
        for name, content in members.items():
            container.writestr(name, content)
    return file.getvalue()


def word_with_body(xml: bytes, *, doctype: bytes = b"") -> bytes:
    """A DOCX whose document part is `xml`, whatever that is."""
    plain = word(lambda document: None)
    with zipfile.ZipFile(io.BytesIO(plain)) as container:
        members = {name: container.read(name) for name in container.namelist()}
    members["word/document.xml"] = doctype + xml
    return archive(members)


def encrypted_office() -> bytes:
    """The beginning of what Office writes for a document with a password: an OLE container of an encrypted package."""
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "EncryptedPackage".encode("utf-16-le") + bytes(1000)


def legacy_office() -> bytes:
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(1000) + "WordDocument".encode("utf-16-le") + bytes(1000)


def _saved(save: Callable[[io.BytesIO], None]) -> bytes:
    file = io.BytesIO()
    save(file)
    return file.getvalue()
