"""Which gateway a command talks to."""

from __future__ import annotations

from cli.client import GatewayClient
from contracts.settings import AllSettings


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
    from deploy.local.addresses import RunningStack
    from deploy.local.layout import Layout

    running = RunningStack.read(Layout(settings.data_dir.absolute()))
    return running.url if running else settings.url
