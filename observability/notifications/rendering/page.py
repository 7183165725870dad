"""A notification as a page of HTML for mail readers: no scripts, no pictures, nothing that is loaded."""

from __future__ import annotations

from html import escape

from observability.notifications.notification import Notification
from observability.notifications.rendering.words import Words, headline, named

_FIRING, _RESOLVED = "#b3261e", "#1e7d32"
_STYLE = "font-family:sans-serif;font-size:14px;line-height:1.4;color:#1b1b1b"


def html_page(notification: Notification) -> str:
    """Every value is escaped; the only links are a runbook's and Waggle's own, both http or https."""
    alerts, more = named(notification)
    colour = _FIRING if notification.firing else _RESOLVED
    body = [
        f'<h1 style="font-size:18px;color:{colour}">{escape(headline(notification))}</h1>',
        *(_alert(words) for words in alerts),
    ]
    if more:
        body.append(f"<p>… and {more} more.</p>")
    if notification.external_url:
        body.append(f"<p>{_link(notification.external_url, 'Open Waggle')}</p>")
    return (
        f'<!doctype html><html><head><meta charset="utf-8"></head><body style="{_STYLE}">{"".join(body)}</body></html>'
    )


def _alert(words: Words) -> str:
    colour, state = (_FIRING, "firing") if words.is_firing else (_RESOLVED, "resolved")
    lines = [
        f'<b style="color:{colour}">{state}</b> <b>{escape(words.name)}</b> [{escape(words.severity)}] {words.since}',
        escape(words.summary),
        escape(words.description),
        f"<code>{escape(words.labels)}</code>" if words.labels else "",
        _link(words.runbook, "Runbook") if words.runbook else "",
    ]
    return f'<p style="border-left:4px solid {colour};padding-left:8px">{"<br>".join(t for t in lines if t)}</p>'


def _link(url: str, words: str) -> str:
    return f'<a href="{escape(url, quote=True)}">{words}</a>'
