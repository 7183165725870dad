"""Which gateway a command talks to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cli.client import GatewayClient
from cli.output import messages
from contracts.settings import AllSettings
from deploy.local.layout import layout_of

if TYPE_CHECKING:
    from deploy.local.addresses import RunningStack


def gateway() -> GatewayClient:
    """`WAGGLE_URL` where it is set, else `WAGGLE_GATEWAY_PORT`, else the stack that runs in the data folder, else the
    default address.
    """
    settings = AllSettings.load()
    if "url" in settings.model_fields_set:
        return GatewayClient(settings.url, api_key=_key(settings))
    if "gateway_port" in settings.model_fields_set and settings.gateway_port:
        return GatewayClient(f"http://127.0.0.1:{settings.gateway_port}", api_key=_key(settings))
    running = running_here(settings, otherwise=settings.url, variable="WAGGLE_URL")
    return GatewayClient(settings.url, api_key=_key(settings)) if running is None else gateway_here(settings, running)


def gateway_here(settings: AllSettings, running: RunningStack) -> GatewayClient:
    """That of the stack in the data folder, with `WAGGLE_API_KEY`, or else with the key of this host: nobody else is shown that."""
    from deploy.local.admin_key import read_key

    return GatewayClient(running.url, api_key=_key(settings) or read_key(layout_of(settings).admin_key))


def _key(settings: AllSettings) -> str | None:
    return settings.api_key.get_secret_value() if settings.api_key else None


def running_here(settings: AllSettings, *, otherwise: str, variable: str) -> RunningStack | None:
    """The stack that runs in the data folder. When the one that it has does not run, it is said where this goes instead,
    lest somebody take another stack for it.
    """
    from deploy.local.addresses import RunningStack

    layout = layout_of(settings)
    running = RunningStack.read(layout)
    if running is None and layout.run.exists():
        messages().print(
            f"The stack of {layout.data_dir} does not run; this goes to {otherwise} (to change that: {variable}).",
            style="yellow",
        )
    return running
