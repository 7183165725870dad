"""What of a page no reader sees is no text of the document."""

from __future__ import annotations

import pytest

from workers.ingest.parsers.base import Source
from workers.ingest.parsers.html import parse_html
from workers.ingest.parsers.markdown import parse_markdown

SHEET = "<style>p { background: navy }</style>"


def html(body: str, *, head: str = "") -> str:
    return parse_html(Source(b"", f"<html><head>{head}</head><body><p>Seen.</p>{body}<p>End.</p></body></html>")).text


def markdown(text: str) -> str:
    return parse_markdown(Source(b"", text)).text


@pytest.mark.parametrize(
    "hidden",
    [
        '<p style="display: none">x1</p>',
        '<p style="DISPLAY:NONE !important; color: red">x1</p>',
        '<div style="visibility:hidden">x1</div>',
        '<div style="visibility:collapse">x1</div>',
        '<p style="font-size:0">x1</p>',
        '<p style="font-size:0.0em">x1</p>',
        '<p style="font-size:1px">x1</p>',
        '<p style="opacity:0.00">x1</p>',
        '<p style="position:absolute; left:-9999px">x1</p>',
        '<p style="text-indent:-9999px">x1</p>',
        '<p style="color:#fff">x1</p>',
        '<p style="color:rgb(255, 255, 255)">x1</p>',
        '<p style="color:rgba(0,0,0,0)">x1</p>',
        '<p style="color:transparent">x1</p>',
        '<p><font color="WHITE">x1</font></p>',
        '<div style="background:#000 no-repeat"><p style="color:black">x1</p></div>',
        '<table bgcolor="#123456"><tr><td style="color:#123456">x1</td></tr></table>',
        '<div style="background-color:#000"><div style="background:inherit"><p style="color:#000">x1</p></div></div>',
        '<table><tr style="display:none"><td>x1</td></tr><tr><td>Cell.</td></tr></table>',
        "<table><tbody hidden><tr><td>x1</td></tr></tbody><tr><td>Cell.</td></tr></table>",
        "<table><tr><td>Cell.</td><td hidden>x1</td></tr></table>",
        '<pre>code <span style="display:none">x1</span></pre>',
        "<ul><li>Item. <b hidden>x1</b></li></ul>",
        '<h2>Title <span style="font-size:0">x1</span></h2>',
        "<!-- x1 -->",
        '<img src="a.png" alt="x1" title="x1">',
        '<a href="#" title="x1">Link.</a>',
    ],
)
def test_what_is_hidden_is_left_out_and_what_follows_it_stays(hidden: str) -> None:
    text = html(hidden)
    assert "x1" not in text
    assert text.startswith("Seen.")
    assert text.endswith("End.")


@pytest.mark.parametrize(
    "shown",
    [
        '<p style="font-size:0.9em">x1</p>',
        '<p style="opacity:0.5">x1</p>',
        '<p style="left:-10px; margin-left:-2em">x1</p>',
        '<div style="background:#003"><p style="color:white">x1</p></div>',
        '<div style="color:white"><div style="background:black">x1</div></div>',
        '<div style="color:white"><p style="color:black">x1</p></div>',
        '<p style="color:inherit;background:inherit">x1</p>',
        '<p style="color:nonsense;font-size:large;left:calc(1px - 99em)">x1</p>',
        '<p style="color:#fff;background:url(dark.png)">x1</p>',
        '<p style="color:#fff;background-image:url(dark.png)">x1</p>',
        "<pre>x1\n  y</pre>",
    ],
)
def test_what_is_shown_stays(shown: str) -> None:
    assert "x1" in html(shown)


def test_where_a_style_sheet_may_colour_the_page_white_text_stays() -> None:
    assert "x1" not in html('<p style="color:white">x1</p>')
    assert "x1" in html('<p style="color:white">x1</p>', head=SHEET)


@pytest.mark.parametrize(
    "text",
    [
        'Seen. <span style="display:none">x1</span> End.',
        "Seen. <span hidden>x1 <span>x1</span> x1</span> End.",
        'Seen.\n\n<div style="display:none">\n\nx1\n\n<div>\n\n# x1\n\n</div>\n\n- x1\n\n</div>\n\nEnd.',
        "Seen. <!-- x1 -->\n\n<!--\nx1\n-->\n\nEnd.",
        "Seen.\n\n[//]: # (x1)\n\nEnd.",
        'Seen. [here](https://e.example "x1") End.',
    ],
)
def test_what_is_hidden_in_markdown_is_left_out_and_what_follows_it_stays(text: str) -> None:
    read = markdown(text)
    assert "x1" not in read
    assert read.startswith("Seen.")
    assert read.endswith("End.")


@pytest.mark.parametrize(
    "text", ["<b>Seen</b> x1", "<img hidden> x1", '<br style="display:none"> x1', "a <p hidden> x1"]
)
def test_what_only_looks_hidden_in_markdown_stays(text: str) -> None:
    assert "x1" in markdown(text)
