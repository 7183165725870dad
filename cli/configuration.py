"""`waggle config show|history|diff|set|unset|rollback`: what is in force, and where each value comes from."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer
from pydantic import SecretStr
from rich.text import Text

from cli.live_configuration import diff, history, rollback, set_values, show_live, unset
from cli.output import Json, console, print_json, table
from contracts.settings import AllSettings
from contracts.settings_source import CONFIG_VARIABLE, variable
from contracts.telemetry_variables import VARIABLES, others
from deploy.local.addresses import RunningStack
from deploy.local.layout import layout_of

app = typer.Typer()
config = typer.Typer(
    no_args_is_help=True, help="Look at the configuration, and change what may be changed while everything runs."
)
app.add_typer(config, name="config")

MASK = "********"


@dataclass(frozen=True, kw_only=True)
class Setting:
    variable: str
    value: Any
    source: str
    description: str


@config.command("show")
def show(
    changed: Annotated[bool, typer.Option("--changed", help="Only what differs from the default.")] = False,
    live: Annotated[
        bool, typer.Option("--live", help="What is set for the running fleet instead, and who works by it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Every setting, and OpenTelemetry's variables, with value and source; secrets are masked."""
    if live:
        show_live(as_json=as_json)
        return
    every = [*settings(), *telemetry_variables()]
    found = [each for each in every if not (changed and each.source == "default")]
    if as_json:
        print_json({"items": [vars(each) for each in found]})
        return
    rows = table("variable", "value", "source", "meaning")
    for each in found:
        value = Text("unset", "dim") if each.value is None else Text(str(each.value))
        rows.add_row(
            each.variable, value, Text(each.source, "dim" if each.source == "default" else "cyan"), each.description
        )
    console().print(rows)


config.command("history")(history)
config.command("diff")(diff)
config.command("set")(set_values)
config.command("unset")(unset)
config.command("rollback")(rollback)


def settings() -> list[Setting]:
    """All settings by name. Raises `ConfigurationError` where one is unknown or bad."""
    loaded = AllSettings.load()
    running = {name: value for name, value in _running(loaded).items() if name not in loaded.model_fields_set}
    return [
        Setting(
            variable=variable(name),
            value=_shown(running.get(name, getattr(loaded, name))),
            source="the stack that runs here" if name in running else _source(name),
            description=field.description or "",
        )
        for name, field in sorted(AllSettings.model_fields.items())
    ]


def telemetry_variables() -> list[Setting]:
    """OpenTelemetry's variables, with what is set among those that only OpenTelemetry reads."""
    return [
        Setting(
            variable=each.name,
            value=(MASK if each.is_secret else os.environ[each.name]) if each.name in os.environ else None,
            source="environment" if each.name in os.environ else "default",
            description=each.meaning,
        )
        for each in (*VARIABLES, *others())
    ]


def _running(loaded: AllSettings) -> dict[str, object]:
    """Where the stack of the data folder listens, which commands go by."""
    running = RunningStack.read(layout_of(loaded))
    if running is None:
        return {}
    return {"url": running.url, "nats_url": running.nats_url, "gateway_port": urlsplit(running.url).port}


def _shown(value: object) -> Any:
    if isinstance(value, SecretStr):
        return MASK
    return str(value) if isinstance(value, Path) else value


def _source(name: str) -> str:
    if variable(name) in os.environ:
        return "environment"
    file = os.environ.get(CONFIG_VARIABLE)
    if file and name in tomllib.loads(Path(file).read_text(encoding="utf-8")):
        return file
    return "default"
