"""An Alertmanager as the receiver: it deduplicates by labels, so telling it twice does no harm."""

from __future__ import annotations

import base64
import json

from observability.notifications.channels.http import HttpPoster
from observability.notifications.configuration import AlertmanagerModel, address_of
from observability.notifications.notification import Notification
from observability.notifications.rendering.payload import api_alerts

PATH = "/api/v2/alerts"


class AlertmanagerNotifier:
    def __init__(self, model: AlertmanagerModel, poster: HttpPoster) -> None:
        self._model = model
        self._poster = poster

    async def send(self, notification: Notification) -> str:
        url = address_of(self._model.url)
        headers, secrets = self._authorization()
        body = json.dumps(api_alerts(notification), ensure_ascii=False).encode()
        return await self._poster.post(
            url.rstrip("/") + PATH, body, {"Content-Type": "application/json", **headers}, secrets=[url, *secrets]
        )

    async def close(self) -> None:
        await self._poster.close()

    def _authorization(self) -> tuple[dict[str, str], list[str]]:
        if self._model.bearer_token is not None:
            token = self._model.bearer_token.read()
            return {"Authorization": f"Bearer {token}"}, [token]
        if self._model.password is not None:
            password = self._model.password.read()
            pair = base64.b64encode(f"{self._model.user}:{password}".encode()).decode()
            return {"Authorization": f"Basic {pair}"}, [password, pair]
        return {}, []
