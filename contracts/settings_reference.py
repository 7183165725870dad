"""The configuration reference, written from the settings themselves."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from contracts.settings import (
    AllSettings,
    ClientSettings,
    EmbedSettings,
    GatewaySettings,
    GenerateSettings,
    IngestSettings,
    KeeperSettings,
    RetrieveSettings,
)
from contracts.settings_source import Settings, variable

PROCESSES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "ingest": IngestSettings,
    "embed": EmbedSettings,
    "retrieve": RetrieveSettings,
    "generate": GenerateSettings,
    "keeper": KeeperSettings,
    "command line": ClientSettings,
}

_HEAD = """# Configuration

Every process reads the same variables: set them once, for all. Sources, strongest first: the environment, the TOML file
that `WAGGLE_CONFIG` names (keys in lower case, without the prefix), the default. An unknown variable or a bad value stops
the process with its name and an example. `waggle config show` prints what is in force and where each value comes from.

This page is written by `make docs` from `contracts/settings.py`.

| variable | default | meaning | example | read by |
| --- | --- | --- | --- | --- |
"""


def reference() -> str:
    """The page as Markdown."""
    rows = (_row(name, field) for name, field in sorted(AllSettings.model_fields.items()))
    return _HEAD + "".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    readers = [process for process, settings in PROCESSES.items() if name in settings.model_fields]
    workers = set(PROCESSES) - {"command line"}
    who = "every process" if workers <= set(readers) else ", ".join(readers)
    example = f"`{field.examples[0]}`" if field.examples else ""
    return f"| `{variable(name)}` | {_default(field)} | {field.description} | {example} | {who} |\n"


def _default(field: FieldInfo) -> str:
    value: Any = field.default
    if field.default_factory is not None:
        return str(field.json_schema_extra["shown"]) if isinstance(field.json_schema_extra, dict) else "computed"
    if value is None or value is PydanticUndefined or isinstance(value, SecretStr):
        return "unset"
    return f"`{value}`"


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the configuration reference.")
    parser.add_argument("file", type=Path)
    parser.parse_args().file.write_text(reference(), encoding="utf-8")


if __name__ == "__main__":
    main()
