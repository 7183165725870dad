"""From alerts to people: routes, groups, silences, channels.

`Dispatcher` runs a `Pipeline` of pure stages and a task for each channel; see `docs/notifications.md`.
"""

from observability.notifications.channels import Notifier, build_notifier
from observability.notifications.configuration import NotificationConfig, load_config
from observability.notifications.dispatcher import Dispatcher
from observability.notifications.errors import DeliveryError, FencedError, NotificationConfigError
from observability.notifications.history import History, RecentHistory
from observability.notifications.inhibition import Inhibition
from observability.notifications.metrics import NotificationMetrics
from observability.notifications.notification import Notification
from observability.notifications.pipeline import Pipeline
from observability.notifications.records import MemoryStore
from observability.notifications.routing import Route, route_tree
from observability.notifications.silencing import Silences
from observability.notifications.state import GroupRecord

__all__ = [
    "DeliveryError",
    "Dispatcher",
    "FencedError",
    "GroupRecord",
    "History",
    "Inhibition",
    "MemoryStore",
    "Notification",
    "NotificationConfig",
    "NotificationConfigError",
    "NotificationMetrics",
    "Notifier",
    "Pipeline",
    "RecentHistory",
    "Route",
    "Silences",
    "build_notifier",
    "load_config",
    "route_tree",
]
