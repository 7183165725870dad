"""The configuration reference, written from the settings themselves."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from contracts.runtime_config import APPLIED_BY, RuntimeConfig
from contracts.settings import (
    AllSettings,
    ClientSettings,
    EmbedSettings,
    GatewaySettings,
    GenerateSettings,
    IngestSettings,
    KeeperSettings,
    ObserverSettings,
    OperatorSettings,
    RetrieveSettings,
)
from contracts.settings_source import Settings, variable
from contracts.telemetry_variables import VARIABLES

PROCESSES: dict[str, type[Settings]] = {
    "gateway": GatewaySettings,
    "ingest": IngestSettings,
    "embed": EmbedSettings,
    "retrieve": RetrieveSettings,
    "generate": GenerateSettings,
    "keeper": KeeperSettings,
    "observer": ObserverSettings,
    "operator": OperatorSettings,
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


_LIVE = """
## Changing settings while everything runs

Some settings can be changed for the whole running fleet, without a restart and without losing a message: what is in hand ends as it
began, the next message is worked on by the new values. A key that is not set is in every process as its own settings say.

```
$ waggle config set generator_max_tokens=256 reranking=off --because "answers take too long"
$ waggle config show --live           # what is set, what can be, and which process works by which revision
$ waggle config history               # who changed what, when and why
$ waggle config diff 3 5
$ waggle config unset reranking --because "the reranker is back"
$ waggle config rollback              # the values before the last change count again; rollback 3: those of revision 3
```

Every change is checked before it is written and refused whole, with key and reason. It makes a revision: numbered, never changed
afterwards, with who, when and why. One is current; the last 200 are kept in the bucket `config`. Going back makes a new revision, too, so that
history is never rewritten; going back twice goes back two changes. Writers at the same moment follow one another and lose nothing of each
other; `--if-revision` (`expected_revision` over HTTP) refuses a change of what has changed since it was looked at. `principal` is who the gateway
knows it was, `claimed_by` who the caller says to be.

Processes hear of a revision at once, look every 15 s besides, and say in their heartbeats by which one they work (`config_revision`). One
that cannot read a revision, as that of a newer release, works on by the one before, says so in its log, and counts it in `waggle.config.refused`.
An older gateway changes nothing then. Every change is told as a `ConfigChanged` on [`rag.config.changes`](messages.md#hear-of-changes-of-the-configuration).

| key | meaning | example | worked by |
| --- | --- | --- | --- |
"""


_TELEMETRY = """
## OpenTelemetry's variables

Where [telemetry](telemetry.md) is exported to is said by OpenTelemetry's own variables, with OpenTelemetry's meaning, in the
environment of every process (`waggle up` hands its own on). `OTEL_EXPORTER_OTLP_ENDPOINT`, `_PROTOCOL`, `_HEADERS` and
`_TIMEOUT` may be set for one signal alone, as in `OTEL_EXPORTER_OTLP_TRACES_ENDPOINT` (then with its whole path). Others, such
as those of certificates, compression and queues, are read by the OpenTelemetry SDK as it documents them.

| variable | default | meaning | example |
| --- | --- | --- | --- |
"""


def reference() -> str:
    """The page as Markdown."""
    rows = (_row(name, field) for name, field in sorted(AllSettings.model_fields.items()))
    telemetry = (f"| `{v.name}` | `{v.default}` | {v.meaning} | `{v.example}` |\n" for v in VARIABLES)
    live = (_live_row(key, field) for key, field in RuntimeConfig.model_fields.items())
    return "".join((_HEAD, *rows, _LIVE, *live, _TELEMETRY, *telemetry))


def _row(name: str, field: FieldInfo) -> str:
    readers = [process for process, settings in PROCESSES.items() if name in settings.model_fields]
    workers = set(PROCESSES) - {"command line"}
    who = "every process" if workers <= set(readers) else ", ".join(readers)
    example = f"`{field.examples[0]}`" if field.examples else ""
    return f"| `{variable(name)}` | {_default(field)} | {field.description} | {example} | {who} |\n"


def _live_row(key: str, field: FieldInfo) -> str:
    example = json.dumps(field.examples[0]).strip('"') if field.examples else ""
    return f"| `{key}` | {field.description} | `{key}={example}` | {', '.join(APPLIED_BY[key])} |\n"


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
