"""The notifier of a channel."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from contracts.networks import Network
from observability.notifications.channels.addresses import AddressGuard
from observability.notifications.channels.alertmanager import AlertmanagerNotifier
from observability.notifications.channels.apprise import AppriseNotifier
from observability.notifications.channels.base import Notifier
from observability.notifications.channels.email import EmailNotifier
from observability.notifications.channels.http import HttpPoster
from observability.notifications.channels.slack import SlackNotifier
from observability.notifications.channels.webhook import WebhookNotifier
from observability.notifications.configuration import (
    AlertmanagerModel,
    Channel,
    EmailModel,
    SlackModel,
    WebhookModel,
)
from observability.outgoing import Resolve


def build_notifier(
    model: Channel,
    *,
    allowed_networks: Iterable[Network] = (),
    clock: Callable[[], datetime],
    resolve: Resolve | None = None,
) -> Notifier:
    """What the channel's `kind` names. Each has its own resolver and connections, so none can hold up another."""
    limit_s = model.connect_timeout_s
    guard = AddressGuard(allowed_networks, timeout_s=limit_s, resolve=resolve)
    match model:
        case EmailModel():
            return EmailNotifier(model, guard)
        case SlackModel():
            return SlackNotifier(model, HttpPoster(guard, connect_timeout_s=limit_s))
        case WebhookModel():
            return WebhookNotifier(model, HttpPoster(guard, connect_timeout_s=limit_s), clock=clock)
        case AlertmanagerModel():
            return AlertmanagerNotifier(model, HttpPoster(guard, connect_timeout_s=limit_s))
        case _:
            return AppriseNotifier(model, guard)
