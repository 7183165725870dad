"""Any HTTP server, by Alertmanager's webhook payload, signed where there is a secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime

from observability.notifications.channels.http import HttpPoster
from observability.notifications.channels.signing import SigningKey
from observability.notifications.configuration import WebhookModel, address_of
from observability.notifications.errors import DeliveryError
from observability.notifications.notification import Notification
from observability.notifications.rendering.payload import webhook_payload


class WebhookNotifier:
    """`webhook-id` is the idempotency key, also where nothing is signed."""

    def __init__(self, model: WebhookModel, poster: HttpPoster, *, clock: Callable[[], datetime]) -> None:
        self._model = model
        self._poster = poster
        self._clock = clock

    async def send(self, notification: Notification) -> str:
        url = address_of(self._model.url)
        body = json.dumps(webhook_payload(notification, max_alerts=self._model.max_alerts), ensure_ascii=False).encode()
        token = self._model.bearer_token.read() if self._model.bearer_token else ""
        headers = {
            "Content-Type": "application/json",
            "webhook-id": notification.id,
            **self._signature(notification, body),
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        return await self._poster.post(url, body, headers, secrets=[url, *([token] if token else [])])

    async def close(self) -> None:
        await self._poster.close()

    def _signature(self, notification: Notification, body: bytes) -> dict[str, str]:
        if self._model.secret is None:
            return {}
        try:
            key = SigningKey(self._model.secret.read())
        except ValueError as error:
            raise DeliveryError(f"the signing secret in {self._model.secret} {error}") from error
        return key.headers(notification.id, self._clock(), body)
