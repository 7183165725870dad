"""The file that says who is told of what: its model, and reading it."""

from observability.notifications.configuration.channel_models import (
    AlertmanagerModel,
    AppriseModel,
    Channel,
    EmailModel,
    SlackModel,
    SmtpSecurity,
    WebhookModel,
    address_of,
)
from observability.notifications.configuration.durations import format_duration, parse_duration
from observability.notifications.configuration.interval_models import TimeInterval
from observability.notifications.configuration.loading import load_config, parse_config
from observability.notifications.configuration.models import (
    GROUP_BY_EVERYTHING,
    InhibitRule,
    NotificationConfig,
    Receiver,
    RouteModel,
)
from observability.notifications.configuration.secrets import SecretReference

__all__ = [
    "GROUP_BY_EVERYTHING",
    "AlertmanagerModel",
    "AppriseModel",
    "Channel",
    "EmailModel",
    "InhibitRule",
    "NotificationConfig",
    "Receiver",
    "RouteModel",
    "SecretReference",
    "SlackModel",
    "SmtpSecurity",
    "TimeInterval",
    "WebhookModel",
    "address_of",
    "format_duration",
    "load_config",
    "parse_config",
    "parse_duration",
]
