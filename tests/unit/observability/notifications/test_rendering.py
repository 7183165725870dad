"""What people read: bounded, and whatever alerts say, only text."""

from __future__ import annotations

from html.parser import HTMLParser

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.alerts import AlertEvent
from observability.notifications.notification import Notification
from observability.notifications.rendering.page import html_page
from observability.notifications.rendering.slack import slack_message
from observability.notifications.rendering.text import plain_text
from observability.notifications.rendering.words import MAX_NAMED, headline
from tests.unit.observability.notifications.examples import MORNING, alert, notification

RELAXED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A busy machine may take its time."""

TEXTS = st.text(min_size=1, max_size=300).filter(lambda text: "\x00" not in text)


def said(**annotations: str) -> Notification:
    return notification(AlertEvent.of({"alertname": "X"}, starts_at=MORNING, annotations=annotations))


class Tags(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.seen: list[str] = []
        self.links: list[str | None] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name == "href"]


def test_the_headline_counts_and_says_what_is_common() -> None:
    both = notification(alert(service="a"), alert(service="b"), resolved=(alert(service="c", minutes=1),), left_out=3)

    assert headline(both) == "[FIRING 5, resolved 1] HighErrorRate (severity=critical)"
    assert headline(notification(alert("A"), alert("B"))) == "[FIRING 2] 2 different alerts (severity=critical)"
    assert headline(notification(resolved=(alert(minutes=1),))) == "[RESOLVED 1] HighErrorRate (severity=critical)"


def test_text_names_some_and_counts_the_rest() -> None:
    text = plain_text(notification(*(alert(n=str(n)) for n in range(MAX_NAMED + 5)), left_out=2))

    assert text.count("since 2026-06-01 09:00:00 UTC") == MAX_NAMED
    assert "… and 7 more." in text
    assert "https://waggle.example" in text


@RELAXED
@given(text=TEXTS)
def test_whatever_an_alert_says_adds_no_tag_to_a_page(text: str) -> None:
    plain = Tags(html_page(said(summary="x", description="x")))
    hostile = Tags(html_page(said(summary=text, description=text)))

    assert [tag for tag in hostile.seen if tag != "br"] == [tag for tag in plain.seen if tag != "br"]


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", 'https://x"onclick="y', "https://a b", "data:text/html,x", "//x"]
)
def test_what_is_no_web_address_becomes_no_link(url: str) -> None:
    message = said(runbook_url=url)

    assert Tags(html_page(message)).links == ["https://waggle.example"]
    assert "Runbook" not in str(slack_message(message))


@RELAXED
@given(text=TEXTS)
def test_whatever_an_alert_says_is_only_text_in_slack(text: str) -> None:
    message = slack_message(said(summary=text, description=text))

    formatted = [b["text"]["text"] for b in message["attachments"][0]["blocks"] if b["text"]["type"] == "mrkdwn"]
    assert formatted == ["<https://waggle.example|Open Waggle>"]


def test_nobody_is_called_by_the_headline_in_slack() -> None:
    message = slack_message(notification(alert(service="<!channel> & co")))

    assert "<" not in message["text"]
    assert "&lt;!channel&gt; &amp; co" in message["text"]


def test_a_link_in_slack_is_one_link() -> None:
    message = slack_message(said(runbook_url="https://docs.example/x?a=1&b=2"))

    assert "<https://docs.example/x?a=1&amp;b=2|Runbook>" in str(message)


def test_the_largest_message_stays_within_slacks_limits() -> None:
    alerts = [
        AlertEvent.of(
            {"alertname": "X" * 1000, "n": str(n), "l": "y" * 1000},
            starts_at=MORNING,
            annotations={
                "summary": "s" * 8000,
                "description": "d" * 8000,
                "runbook_url": "https://docs.example/" + "r" * 500,
            },
        )
        for n in range(100)
    ]
    blocks = slack_message(notification(*alerts))["attachments"][0]["blocks"]

    assert len(blocks) <= 50
    assert all(0 < len(block["text"]["text"]) <= 3000 for block in blocks)
