"""Bytes to text, when the bytes are text at all."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# By how common they are: of two that fit equally well, the earlier one is taken.
_CANDIDATES = (
    "gb18030", "big5", "cp932", "euc_jp", "euc_kr", "cp1252", "cp1251", "cp1250", "cp1254", "cp1253", "koi8_r",
)  # fmt: skip
_DECLARED = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?\s*([\w-]{1,40})""", re.IGNORECASE)
_SAMPLE_BYTES = 64 * 1024
_CONTROLS = bytes(b for b in range(1, 0x20) if b not in b"\t\n\v\f\r\b\x1b")
_MOST_CONTROLS = 0.02
_MOST_NULS = 0.15
_ODD_NULS = 0.3
_MOST_DAMAGED = 0.05
_SHORT_BYTES = 96
_HAN_TEXT = re.compile("[\u4e00-\u9fff\u3000-\u303f\uff00-\uffef\u2010-\u2026\\s0-9A-Za-z]")
_HAN_SHARE = 0.95
# GB 2312: punctuation and the 3 755 characters of level 1.
_COMMON_GB = re.compile(rb"[\xa1\xa3\xb0-\xd7][\xa1-\xfe]")
_HIGH_PAIR = re.compile(rb"[\x80-\xff]{2}")


def decode(content: bytes) -> str | None:
    """The text of `content`, by its byte order mark, as UTF-8, as declared, or by its statistics; None for binary."""
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return content[len(bom) :].decode(encoding, errors="replace")
    binary = _looks_binary(content)
    if not binary and (text := _strictly(content, "utf-8")):
        return text
    if unmarked := _unmarked_utf16(content[:_SAMPLE_BYTES]):
        return content.decode(unmarked, errors="replace")
    return None if binary else _damaged_utf8(content) or _declared(content) or _guessed(content)


def _unmarked_utf16(sample: bytes) -> str | None:
    """Latin text has a NUL in every other byte; bytes that make almost only Han characters are hardly anything else."""
    pairs = len(sample) // 2
    if pairs < 4:
        return None
    text = sample[: 2 * pairs].decode("utf-16-le", errors="replace")
    even, odd = sample[0 : 2 * pairs : 2].count(0), sample[1 : 2 * pairs : 2].count(0)
    if len(_HAN_TEXT.findall(text)) > len(text) * _HAN_SHARE or (odd > pairs * _ODD_NULS and even < odd / 20):
        return "utf-16-le"
    return "utf-16-be" if even > pairs * _ODD_NULS and odd < even / 20 else None


def _looks_binary(content: bytes) -> bool:
    for sample in (content[:_SAMPLE_BYTES], content[-_SAMPLE_BYTES:]):
        controls = len(sample) - len(sample.translate(None, _CONTROLS))
        if controls > len(sample) * _MOST_CONTROLS or sample.count(0) > len(sample) * _MOST_NULS:
            return True
    return False


def _strictly(content: bytes, encoding: str) -> str | None:
    try:
        return content.decode(encoding)
    except (UnicodeDecodeError, LookupError):
        return None


def _damaged_utf8(content: bytes) -> str | None:
    """UTF-8 with a few bytes that are not: other charsets hardly ever make one valid sequence after the other."""
    text = content.decode("utf-8", errors="replace")
    wrong, high = text.count("\ufffd"), sum(1 for character in text if character > "\x7f")
    return text if wrong <= high * _MOST_DAMAGED else None


def _declared(content: bytes) -> str | None:
    declared = _DECLARED.search(content[:4096])
    if declared is None:
        return None
    name = declared.group(1).decode("ascii").lower()
    # What calls itself GB2312 often uses its superset.
    return _strictly(content, "gb18030" if name in ("gb2312", "gbk") else name)


def _guessed(content: bytes) -> str | None:
    if len(content) < _SHORT_BYTES and (short := _short(content)):
        return short
    best = next(filter(None, map(_best_encoding, _samples(content))), None)
    return content.decode(best, errors="replace") if best is not None else None


def _samples(content: bytes) -> Iterator[bytes]:
    """The beginning, cut shorter by a byte at a time in case the cut fell into a character."""
    if len(content) <= _SAMPLE_BYTES:
        yield content
        return
    for cut in range(4):
        yield content[: _SAMPLE_BYTES - cut]


def _best_encoding(sample: bytes) -> str | None:
    import charset_normalizer

    matches = charset_normalizer.from_bytes(sample, cp_isolation=list(_CANDIDATES))
    ranked = sorted(matches, key=lambda m: (round(m.chaos, 2), -round(m.coherence, 2), _CANDIDATES.index(m.encoding)))
    return ranked[0].encoding if ranked else None


def _short(content: bytes) -> str | None:
    """Too short for statistics: lone high bytes are accented letters, pairs within the common part of GB are Chinese."""
    pairs = _HIGH_PAIR.findall(content)
    if not pairs:
        return _strictly(content, "cp1252")
    common = sum(1 for pair in pairs if _COMMON_GB.match(pair))
    return _strictly(content, "gb18030") if common >= len(pairs) * _HAN_SHARE else None
