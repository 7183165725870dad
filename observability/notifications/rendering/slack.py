"""A notification as Slack's incoming webhooks take it."""

from __future__ import annotations

from typing import Any

from observability.notifications.notification import Notification
from observability.notifications.rendering.words import Words, headline, named

MAX_SECTION = 2900
"""Slack takes 3000 characters in a section."""
_FIRING, _RESOLVED = "#b3261e", "#1e7d32"
_LINK_BREAKERS = str.maketrans({"|": "%7C", ">": "%3E", "<": "%3C", "&": "&amp;"})


def slack_message(notification: Notification) -> dict[str, Any]:
    """A line that shows in notifications, and a coloured attachment with a section for each alert.

    What alerts say stands in blocks of plain text, in which Slack looks for no link, mention or format.
    """
    alerts, more = named(notification)
    blocks = [block for words in alerts for block in _alert(words)]
    if more:
        blocks.append(_plain(f"… and {more} more."))
    if notification.external_url:
        blocks.append(_link(notification.external_url, "Open Waggle"))
    colour = _FIRING if notification.firing else _RESOLVED
    return {
        "text": escaped(headline(notification)),
        "mrkdwn": False,
        "attachments": [{"color": colour, "blocks": blocks}],
    }


def escaped(text: str) -> str:
    """Text in which Slack sees no link and no mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _alert(words: Words) -> list[dict[str, Any]]:
    state = "🔴 firing" if words.is_firing else "🟢 resolved"
    title = f"{state} {words.name} [{words.severity}] {words.since}"
    lines = [text for text in (title, words.summary, words.labels, words.description) if text]
    blocks = [_plain("\n".join(lines))]
    return [*blocks, _link(words.runbook, "Runbook")] if words.runbook else blocks


def _plain(text: str) -> dict[str, Any]:
    kept = text if len(text) <= MAX_SECTION else text[: MAX_SECTION - 1] + "…"
    return {"type": "section", "text": {"type": "plain_text", "text": kept, "emoji": False}}


def _link(url: str, words: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": f"<{url.translate(_LINK_BREAKERS)}|{words}>"}}
