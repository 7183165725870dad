"""Files that are made to harm who reads them."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping

from tests.unit.ingest import files

MiB = 1024 * 1024
SECRET = "a-secret-of-this-host"
Office = Callable[[Mapping[str, bytes]], bytes]


def _with_parts(whole: bytes, parts: Mapping[str, bytes]) -> bytes:
    """An Office file with some of its parts replaced or added."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(whole)) as source, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            if name not in parts:
                target.writestr(name, source.read(name))
        for name, content in parts.items():
            target.writestr(name, content)
    return file.getvalue()


def docx(parts: Mapping[str, bytes]) -> bytes:
    return _with_parts(files.word(lambda document: document.add_paragraph("Bees dance.")), parts)


def pptx(parts: Mapping[str, bytes]) -> bytes:
    return _with_parts(files.slides(("Bees", ["dance"])), parts)


def xlsx(parts: Mapping[str, bytes]) -> bytes:
    return _with_parts(files.workbook({"Bees": [["dance", "sing"], [1, 2]]}), parts)


MAIN_PARTS: dict[Office, str] = {
    docx: "word/document.xml",
    pptx: "ppt/slides/slide1.xml",
    xlsx: "xl/worksheets/sheet1.xml",
}
"""Where the text of each kind stands."""


def text_part(kind: Office, text: str, *, doctype: str = "") -> bytes:
    """The main part of an Office file of that kind, with `text` as it is in XML."""
    bodies: dict[Office, str] = {
        docx: '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body><w:p><w:r><w:t>{}</w:t>'
        "</w:r></w:p></w:body></w:document>",
        pptx: '<p:sld xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" xmlns:a="http://schemas.openxmlformats.org/'
        'drawingml/2006/main"><p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
        '<p:sp><p:nvSpPr><p:cNvPr id="2" name="a"/><p:cNvSpPr/><p:nvPr/></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{}</a:t>'
        "</a:r></a:p></p:txBody></p:sp></p:spTree></p:cSld></p:sld>",
        xlsx: '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData><row r="1"><c r="A1" '
        't="inlineStr"><is><t>{}</t></is></c></row></sheetData></worksheet>',
    }
    return f'<?xml version="1.0"?>{doctype}{bodies[kind].format(text)}'.encode()


def laughs() -> str:
    """Entities of entities: three billion of the first one (CWE-776)."""
    more = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    return f'<!DOCTYPE x [<!ENTITY a0 "ha">{more}]>'


def quadratic() -> str:
    """One long entity, to be repeated."""
    return f'<!DOCTYPE x [<!ENTITY a9 "{"x" * 100_000}">]>'


def external(url: str) -> str:
    """An entity that is a file or a URL (CWE-611)."""
    return f'<!DOCTYPE x [<!ENTITY a9 SYSTEM "{url}">]>'


def external_parameters(url: str) -> str:
    """A document type that goes on elsewhere."""
    return f'<!DOCTYPE x SYSTEM "{url}" [<!ENTITY % more SYSTEM "{url}"> %more;]>'


def zip_of_zips(depth: int) -> bytes:
    content = files.archive({"zeros": bytes(8 * MiB)})
    for level in range(depth):
        content = files.archive({f"{level}-{n}.zip": content for n in range(8)})
    return content


def lying_zip() -> bytes:
    """A Word document whose directory says that the text has 100 bytes, where it has 400 MiB."""
    content = bytearray(docx({"word/document.xml": bytes(400 * MiB)}))
    at = content.rindex(b"word/document.xml") - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    content[at + 24 : at + 28] = struct.pack("<I", 100)
    return bytes(content)


def overlapping_zip() -> bytes:
    """A thousand names of one and the same compressed part, as in the bombs of D. Fifield (2019)."""
    single = files.archive({"[Content_Types].xml": b"<x/>", "word/document.xml": bytes(8 * MiB)})
    directory = single.index(b"PK\x01\x02")
    end = single.index(b"PK\x05\x06")
    at = single.index(b"PK\x01\x02", directory + 4)
    entries = single[directory:at] + single[at:end] * 1000
    count = 1001
    return (
        single[:directory]
        + entries
        + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, count, count, len(entries), directory, 0)
    )


def tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("a.txt", "../../etc/cron.d/evil"):
            info = tarfile.TarInfo(name)
            info.size = 11
            archive.addfile(info, io.BytesIO(b"Bees dance."))
    return file.getvalue()


def pdf_of(*objects: bytes) -> bytes:
    """A PDF of objects numbered from 1, the first of which is the catalogue."""
    content, offsets = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(content))
        content += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    trailer = b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, len(content))
    return content + b"xref\n0 %d\n0000000000 65535 f \n" % size + table + trailer


def stream(data: bytes, *, fields: bytes = b"", length: int | None = None) -> bytes:
    return b"<<%s/Length %d>>stream\n%s\nendstream" % (fields, len(data) if length is None else length, data)


_CATALOGUE = b"<</Type/Catalog/Pages 2 0 R>>"
_PAGES = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
_PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R/Resources<</XObject<</I 5 0 R>>/Font<</F 6 0 R>>>>>>"
_FONT = b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>"
_TEXT = b"BT /F 12 Tf 20 100 Td (Bees dance.) Tj ET "


def pdf_with_image(width: int, height: int) -> bytes:
    """Text, and a picture that takes `width * height * 3` bytes when it is unpacked; there are far fewer in the file."""
    image = stream(
        zlib.compress(bytes(10 * MiB)),
        fields=b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8/Filter/FlateDecode"
        % (width, height),
    )
    return pdf_of(_CATALOGUE, _PAGES, _PAGE, stream(_TEXT + b"q 100 0 0 100 0 0 cm /I Do Q"), image, _FONT)


def pdf_with_bomb(unpacked_bytes: int, *, layers: int = 1) -> bytes:
    """A page whose content unpacks to far more than the file has, through one filter or several."""
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b" " * MiB) for _ in range(unpacked_bytes // MiB)) + packer.flush()
    for _ in range(layers - 1):
        packed = zlib.compress(packed, 9)
    filters = b"/Filter[%s]" % (b"/FlateDecode" * layers)
    return pdf_of(_CATALOGUE, _PAGES, _PAGE, stream(packed, fields=filters), stream(b""), _FONT)


def pdf_with_length(length: int) -> bytes:
    """A page whose content says to be that long."""
    return pdf_of(_CATALOGUE, _PAGES, _PAGE, stream(_TEXT, length=length), stream(b""), _FONT)


def pdf_of_itself() -> bytes:
    """Pages that are their own parents, and a form that draws itself."""
    form = stream(b"/I Do", fields=b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</I 5 0 R>>>>")
    pages = b"<</Type/Pages/Count 99999999/Kids[2 0 R 2 0 R 3 0 R]>>"
    return pdf_of(_CATALOGUE, pages, _PAGE, stream(b"/I Do"), form, _FONT)


def huge_png(width: int, height: int) -> bytes:
    """A picture of many pixels and few bytes."""

    def part(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + part(b"IHDR", head) + part(b"IDAT", zlib.compress(bytes(MiB))) + part(b"IEND", b"")


def wide_workbook() -> bytes:
    """A cell in the last row and column that there are, and a claim that all before are there."""
    sheet = (
        b'<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><dimension ref="A1:XFD1048576"/><sheetData>'
        b'<row r="1"><c r="A1"><v>1</v></c></row><row r="1048576"><c r="XFD1048576"><v>2</v></c></row></sheetData></worksheet>'
    )
    return xlsx({"xl/worksheets/sheet1.xml": sheet})


def nested_mail(depth: int) -> bytes:
    """A message in a message in a message."""
    mail = b"From: a@example.org\r\nSubject: deep\r\nMIME-Version: 1.0\r\n"
    for level in range(depth):
        mail += b'Content-Type: multipart/mixed; boundary="b%d"\r\n\r\n--b%d\r\n' % (level, level)
    return mail + b"\r\nBees dance.\r\n"
