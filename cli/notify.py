"""`waggle notify test|check|route`: who is told of alerts, tried out before it matters."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.exits import CommandError, Exit
from cli.notify_tables import channels_table, missing_secrets, route_item, tree_of
from cli.output import Json, console, messages, print_json
from contracts.alerts import ALERTNAME, AlertEvent
from contracts.notifications import SendReason
from contracts.settings import ClientSettings
from contracts.settings_source import variable
from observability.notifications.channels import build_notifier
from observability.notifications.channels.attempt import attempt
from observability.notifications.configuration import NotificationConfig, load_config
from observability.notifications.errors import DeliveryError, NotificationConfigError
from observability.notifications.notification import Notification, notification_id
from observability.notifications.routing import route_tree

app = typer.Typer()
notify = typer.Typer(no_args_is_help=True, help="Who is told of alerts: check, ask where one goes, send a test.")
app.add_typer(notify, name="notify")

TEST_GROUP = "waggle notify test"
_SETTING = variable("notify_config")

ConfigFile = Annotated[
    Path | None, typer.Option("--config", help=f"The file of routes and channels; else {_SETTING}.", dir_okay=False)
]
RoutesFile = Annotated[Path, typer.Argument(help="The file of routes and channels.", dir_okay=False)]


@notify.command("test")
def send_test(
    channel: Annotated[str, typer.Argument(help="A channel of the file.")],
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Send a test alert through a channel, once, and say what came of it. Exit code 1 when it was not delivered."""
    loaded = _loaded(config or _configured())
    if channel not in loaded.channels:
        known = ", ".join(sorted(loaded.channels)) or "none"
        raise CommandError(f"there is no channel {channel!r}", hint=f"There are: {known}.", code=Exit.USAGE)
    started = time.perf_counter()
    failure, said = asyncio.run(_send_test(loaded, channel))
    took_s = time.perf_counter() - started
    kind = loaded.channels[channel].kind
    if as_json:
        print_json({"channel": channel, "kind": kind, "took_s": round(took_s, 3), **_outcome(failure, said)})
    elif failure is None:
        console().print(f"Delivered through {channel} ({kind}) in {took_s:.1f} s: {said}")
    else:
        again = "it would not be tried again at once" if failure.final else "it would be tried again"
        doubt = "; it may have arrived all the same" if failure.in_doubt else ""
        messages().print(f"Not delivered through {channel} ({kind}), {again}{doubt}: {said}", style="red")
    raise typer.Exit(Exit.OK if failure is None else Exit.FAILED)


@notify.command("check")
def check(file: RoutesFile, as_json: Json = False) -> None:
    """Check a file and show its routes and channels. Exit code 2 with file, line and reason when it cannot be used."""
    loaded = _loaded(file)
    root, missing = route_tree(loaded), missing_secrets(loaded)
    if as_json:
        channels = {name: model.model_dump(mode="json", exclude_none=True) for name, model in loaded.channels.items()}
        print_json({"route": route_item(root), "channels": channels, "missing_secrets": missing})
        return
    console().print(tree_of(root))
    console().print(channels_table(loaded))
    for problem in missing:
        messages().print(f"Not here: {problem}. It has to be where the observer runs.", style="yellow")


@notify.command("route")
def route(
    file: RoutesFile,
    labels: Annotated[list[str], typer.Argument(help="The labels of an alert: alertname=Down severity=critical")],
    as_json: Json = False,
) -> None:
    """Say who is told of an alert with these labels, and with which it is grouped."""
    given = dict(_label(text) for text in labels)
    taken = route_tree(_loaded(file)).matching(given)
    items: list[dict[str, Any]] = [
        {
            "receiver": each.receiver.name,
            "channels": list(each.receiver.channels),
            "route": each.path,
            "group": each.group_key(each.group_labels(given)),
            "muted_by": each.muted_by(datetime.now(UTC)),
        }
        for each in taken
    ]
    if as_json:
        print_json({"labels": given, "items": items})
        return
    for item in items:
        through = ", ".join(item["channels"]) or "no channel: nobody is told"
        muted = f" (muted now: {item['muted_by']})" if item["muted_by"] else ""
        console().print(f"{item['receiver']} through {through}{muted}\n  group {item['group']}")


async def _send_test(config: NotificationConfig, channel: str) -> tuple[DeliveryError | None, str]:
    """None when it was delivered, and what the receiver said; else why not."""
    model = config.channels[channel]
    notifier = build_notifier(
        model, allowed_networks=ClientSettings.load().allowed_networks, clock=lambda: datetime.now(UTC)
    )
    try:
        said = await attempt(notifier, _test_notification(config, channel), timeout_s=model.timeout.total_seconds())
    except DeliveryError as error:
        return error, str(error)
    finally:
        await notifier.close()
    return None, said


def _test_notification(config: NotificationConfig, channel: str) -> Notification:
    now = datetime.now(UTC)
    alert = AlertEvent.of(
        {ALERTNAME: "WaggleTest", "severity": "none", "channel": channel},
        starts_at=now,
        annotations={
            "summary": "This is a test of Waggle's notifications.",
            "description": "Somebody ran `waggle notify test`. Nothing is wrong, and nothing has to be done.",
        },
    )
    return Notification(
        id=notification_id(TEST_GROUP, channel, [(alert, None)], []),
        group_key=TEST_GROUP,
        receiver="test",
        channel=channel,
        reason=SendReason.TEST,
        group_labels={ALERTNAME: alert.name},
        firing=(alert,),
        resolved=(),
        at=now,
        external_url=config.external_url,
    )


def _outcome(error: DeliveryError | None, said: str) -> dict[str, Any]:
    if error is None:
        return {"delivered": True, "said": said}
    return {"delivered": False, "said": said, "final": error.final, "in_doubt": error.in_doubt}


def _configured() -> Path:
    file = ClientSettings.load().notify_config
    if file is None:
        raise CommandError(
            "no file of routes and channels is named", hint=f"Set {_SETTING}, or give --config.", code=Exit.USAGE
        )
    return file


def _loaded(file: Path) -> NotificationConfig:
    try:
        return load_config(file)
    except NotificationConfigError as error:
        raise CommandError(str(error), code=Exit.USAGE) from error


def _label(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise CommandError(f"{text!r} is not a label", hint="Give it as name=value.", code=Exit.USAGE)
    return name, value
