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
    key = settings.api_key.get_secret_value() if settings.api_key else None
    return GatewayClient(_url(settings), api_key=key)


def _url(settings: AllSettings) -> str:
    if "url" in settings.model_fields_set:
        return settings.url
    if "gateway_port" in settings.model_fields_set and settings.gateway_port:
        return f"http://127.0.0.1:{settings.gateway_port}"
    running = running_here(settings, otherwise=settings.url, variable="WAGGLE_URL")
    return running.url if running else settings.url


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
