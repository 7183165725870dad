"""A notification as plain text."""

from __future__ import annotations

from observability.notifications.notification import Notification
from observability.notifications.rendering.words import Words, headline, named


def plain_text(notification: Notification) -> str:
    alerts, more = named(notification)
    parts = [headline(notification), *map(_alert, alerts)]
    if more:
        parts.append(f"… and {more} more.")
    if notification.external_url:
        parts.append(notification.external_url)
    return "\n\n".join(parts) + "\n"


def _alert(words: Words) -> str:
    state = "FIRING" if words.is_firing else "RESOLVED"
    lines = [f"{state} {words.name} [{words.severity}] {words.since}", words.summary, words.description, words.labels]
    if words.runbook:
        lines.append(f"Runbook: {words.runbook}")
    return "\n  ".join(text for text in lines if text)
