"""`waggle config show`: what is in force, and where each value comes from."""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import SecretStr
from rich.text import Text

from cli.output import Json, console, print_json, table
from contracts.settings import AllSettings
from contracts.settings_source import CONFIG_VARIABLE, variable

app = typer.Typer()
config = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
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
    as_json: Json = False,
) -> None:
    """Every setting with its value and source; secrets are masked."""
    found = [each for each in settings() if not (changed and each.source == "default")]
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


def settings() -> list[Setting]:
    """All settings by name. Raises `ConfigurationError` where one is unknown or bad."""
    loaded = AllSettings.load()
    return [
        Setting(
            variable=variable(name),
            value=_shown(getattr(loaded, name)),
            source=_source(name),
            description=field.description or "",
        )
        for name, field in sorted(AllSettings.model_fields.items())
    ]


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
