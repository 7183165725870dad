"""Loads a command's module only when that command is run: a worker must not carry what a progress bar needs."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from typer._click import Command, Context  # Typer carries its own copy of Click


class LazyGroup(TyperGroup):
    """A group whose commands live in modules, each of which has a Typer named `app`."""

    modules: ClassVar[Mapping[str, str]] = {}
    """Command name to module name, in the order of the help page."""

    def list_commands(self, ctx: Context) -> list[str]:
        return list(self.modules)

    def get_command(self, ctx: Context, cmd_name: str) -> Command | None:
        if cmd_name not in self.modules:
            return None
        app: typer.Typer = import_module(self.modules[cmd_name]).app
        app.rich_markup_mode = self.rich_markup_mode  # help looks the same everywhere
        return typer.main.get_group(app).get_command(ctx, cmd_name)

    def invoke(self, ctx: Context) -> Any:
        """Values of options that make no sense are refused in the words of the library that reads them; not in its marks."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise
