"""Slack's incoming webhooks."""

from __future__ import annotations

import json

from observability.notifications.channels.http import HttpPoster
from observability.notifications.configuration import SlackModel, address_of
from observability.notifications.notification import Notification
from observability.notifications.rendering.slack import slack_message


class SlackNotifier:
    """Slack knows no idempotency key: what is in doubt may appear twice."""

    def __init__(self, model: SlackModel, poster: HttpPoster) -> None:
        self._model = model
        self._poster = poster

    async def send(self, notification: Notification) -> str:
        url = address_of(self._model.url)
        body = json.dumps(slack_message(notification)).encode()
        return await self._poster.post(url, body, {"Content-Type": "application/json"}, secrets=[url])

    async def close(self) -> None:
        await self._poster.close()
