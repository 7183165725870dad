"""What people and scripts are shown of routes and channels. Secrets are only named."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cli.output import table
from observability.notifications.configuration import (
    AppriseModel,
    Channel,
    EmailModel,
    NotificationConfig,
    SecretReference,
    format_duration,
)
from observability.notifications.errors import SecretMissingError
from observability.notifications.routing import Route


def tree_of(root: Route) -> Tree:
    """The routes as they are asked, from top to bottom."""
    tree = Tree(_described(root))
    _add_children(tree, root)
    return tree


def route_item(route: Route) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "route": route.path,
        "matchers": [str(condition) for condition in route.matchers.conditions],
        "receiver": route.receiver.name,
        "channels": list(route.receiver.channels),
        "continue": route.continues,
        "group_by": list(route.group_by),
        "group_wait": format_duration(route.group_wait),
        "group_interval": format_duration(route.group_interval),
        "repeat_interval": format_duration(route.repeat_interval),
        "mute_time_intervals": [interval.name for interval in route.mute_times],
        "active_time_intervals": [interval.name for interval in route.active_times],
        "routes": [route_item(child) for child in route.children],
    }


def channels_table(config: NotificationConfig) -> Table:
    rows = table("channel", "kind", "to", "ends told", "receivers", whole=frozenset({"channel"}))
    for name, model in sorted(config.channels.items()):
        users = [receiver.name for receiver in config.receivers if name in receiver.channels]
        rows.add_row(
            name,
            model.kind,
            target(model),
            "yes" if model.send_resolved else "no",
            Text(", ".join(users)) if users else Text("none: never used", "yellow"),
        )
    return rows


def target(model: Channel) -> str:
    """Where it leads, as far as that is no secret."""
    if isinstance(model, EmailModel):
        return f"{', '.join(model.to)} by {model.host}:{model.server_port}"
    if isinstance(model, AppriseModel):
        return ", ".join(str(reference) for reference in model.urls)
    if isinstance(model.url, SecretReference):
        return str(model.url)
    parts = urlsplit(model.url)
    return f"{parts.scheme}://{parts.netloc}/…" if parts.path.strip("/") else f"{parts.scheme}://{parts.netloc}"


def missing_secrets(config: NotificationConfig) -> list[str]:
    """What is not where the file says that it is, here and now."""
    found = []
    for name, model in sorted(config.channels.items()):
        for reference in model.secrets:
            try:
                reference.read()
            except SecretMissingError as error:
                found.append(f"{name}: {error}")
    return found


def _add_children(tree: Tree, route: Route) -> None:
    for child in route.children:
        _add_children(tree.add(_described(child)), child)


def _described(route: Route) -> Text:
    conditions = ", ".join(str(condition) for condition in route.matchers.conditions) or "everything"
    text = Text.assemble(conditions, " → ", (route.receiver.name, "bold"))
    text.append(f" ({', '.join(route.receiver.channels) or 'nobody'})")
    text.append(
        f"  by {', '.join(route.group_by) or 'nothing'}; wait {format_duration(route.group_wait)}, "
        f"interval {format_duration(route.group_interval)}, repeat {format_duration(route.repeat_interval)}",
        "dim",
    )
    for kind, intervals in (("muted", route.mute_times), ("active", route.active_times)):
        if intervals:
            text.append(f"; {kind}: {', '.join(interval.name for interval in intervals)}", "yellow")
    if route.continues:
        text.append("; continues", "cyan")
    return text
