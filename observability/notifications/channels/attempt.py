"""One attempt to tell somebody, which ends in time and in one of two ways."""

from __future__ import annotations

import asyncio

import structlog

from contracts.errors import WaggleError
from observability.notifications.channels.base import Notifier
from observability.notifications.errors import DeliveryError
from observability.notifications.notification import Notification

log = structlog.get_logger(__name__)


async def attempt(notifier: Notifier, notification: Notification, *, timeout_s: float) -> str:
    """Returns what the receiver said. Raises `DeliveryError` and nothing else, but for its own cancellation."""
    try:
        async with asyncio.timeout(timeout_s):
            return await notifier.send(notification)
    except TimeoutError as error:
        raise DeliveryError(f"no answer within {timeout_s:g} s", in_doubt=True) from error
    except DeliveryError:
        raise
    except WaggleError as error:  # a secret is missing: it may be there at the next attempt
        raise DeliveryError(str(error)) from error
    except Exception as error:  # a defect of one channel must not take the others along
        log.exception("a channel failed in a way that it should not", channel=notification.channel)
        raise DeliveryError(f"{type(error).__name__}: see the log of the observer", in_doubt=True) from error
