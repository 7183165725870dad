"""The ways of telling somebody."""

from observability.notifications.channels.base import Notifier
from observability.notifications.channels.factory import build_notifier

__all__ = ["Notifier", "build_notifier"]
