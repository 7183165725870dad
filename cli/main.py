"""The command `waggle`: which commands there are, and how every one of them ends."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import ClassVar

import typer

from cli.exits import CommandError, Exit
from cli.lazily import LazyGroup
from contracts.errors import WaggleError
from contracts.settings_source import ConfigurationError
from deploy.local.errors import BrokerAwayError
from messaging.errors import BrokerUnavailableError


class Commands(LazyGroup):
    modules: ClassVar[Mapping[str, str]] = {
        "up": "cli.stack",
        "down": "cli.stack",
        "logs": "cli.stack",
        "start": "cli.instances",
        "stop": "cli.instances",
        "restart": "cli.instances",
        "scale": "cli.instances",
        "ingest": "cli.ingest",
        "ask": "cli.ask",
        "search": "cli.ask",
        "queries": "cli.queries",
        "documents": "cli.documents",
        "dlq": "cli.dead_letters",
        "reconcile": "cli.reconcile",
        "cache": "cli.cache",
        "endpoints": "cli.endpoints",
        "index": "cli.index",
        "alerts": "cli.alerts",
        "notify": "cli.notify",
        "figures": "cli.figures",
        "diagnose": "cli.diagnose",
        "incidents": "cli.incidents",
        "recovery": "cli.recovery",
        "health": "cli.health",
        "graph": "cli.health",
        "status": "cli.fleet",
        "top": "cli.fleet",
        "pause": "cli.control",
        "resume": "cli.control",
        "drain": "cli.control",
        "stacks": "cli.control",
        "config": "cli.configuration",
        "keys": "cli.keys",
        "audit": "cli.audit",
        "tenants": "cli.tenants",
        "backup": "cli.backup",
        "restore": "cli.backup",
        "nats": "cli.nats",
        "doctor": "cli.doctor",
        "rules": "cli.rules",
        "evaluate": "cli.evaluate",
        "load": "cli.load",
        "demo": "cli.demo.command",
        "worker": "cli.processes",
        "gateway": "cli.processes",
        "provision": "cli.processes",
    }


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def waggle() -> None:
    """Ask your own documents, and get answers that say where they come from.

    Exit codes: 0 done, 1 something failed, 2 wrong usage or configuration, 3 gateway or broker
    cannot be reached, 130 interrupted.
    """
    from observability.logging import configure_logging

    configure_logging(level="warning", format="text")  # processes set their own level


def main() -> None:
    """Run the command line and exit."""
    try:
        app()
    except CommandError as error:
        _say(error.message, error.hint)
        sys.exit(error.code)
    except ConfigurationError as error:
        _say(str(error), "")
        sys.exit(Exit.USAGE)
    except (BrokerAwayError, BrokerUnavailableError) as error:
        _say(str(error), "")
        sys.exit(Exit.UNREACHABLE)
    except WaggleError as error:
        _say(str(error), "")
        sys.exit(Exit.FAILED)
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(Exit.INTERRUPTED)
    except BrokenPipeError:  # the reader of our output has seen enough
        sys.stderr.close()
        sys.exit(Exit.OK)


def _say(message: str, hint: str) -> None:
    sys.stderr.write(f"Error: {message}\n" + (f"       {hint}\n" if hint else ""))


__all__ = ["app", "main"]
