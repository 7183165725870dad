"""Where settings come from, and what is said of those that are unknown or invalid.

Sources, strongest first: environment (`WAGGLE_…`), the TOML file named by `WAGGLE_CONFIG`, the default.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Self

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

PREFIX = "WAGGLE_"
CONFIG_VARIABLE = "WAGGLE_CONFIG"
# What pydantic says of a default that is made from other fields, when one of those is wrong. Nothing is wrong with it.
FOLLOWS_FROM_OTHERS = "default_factory_not_called"
RESERVED_PREFIX = "WAGGLE_TEST_"
RESERVED = frozenset({CONFIG_VARIABLE, "WAGGLE_REQUIRE_ENGINES"})


class ConfigurationError(Exception):
    """A setting is unknown or invalid; the message names the variable and shows what would be right."""


class Settings(BaseSettings):
    """Base of all settings groups."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True, populate_by_name=True)

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_VARIABLE)
        toml = (TomlConfigSettingsSource(settings_cls, Path(file)),) if file else ()
        return (init_settings, env_settings, *toml)

    @classmethod
    def load(cls, **overrides: Any) -> Self:
        """Read the settings of this process.

        Raises `ConfigurationError` for an unknown `WAGGLE_` variable, an unknown key in the file, or a bad value.
        """
        _refuse_unknown()
        try:
            return cls(**overrides)
        except ValidationError as error:
            raise ConfigurationError(_explain(cls, error)) from error


def variable(name: str) -> str:
    """The environment variable of a field."""
    return PREFIX + name.upper()


def _refuse_unknown() -> None:
    known = {variable(name) for name in _every_field(Settings)}
    given = {name for name in os.environ if name.startswith(PREFIX) and not name.startswith(RESERVED_PREFIX)}
    unknown = sorted(given - known - RESERVED)
    if unknown:
        raise ConfigurationError(f"{unknown[0]} is not a setting of Waggle. `waggle config show` lists all of them.")
    file = os.environ.get(CONFIG_VARIABLE)
    if file:
        _refuse_unknown_keys(Path(file))


def _every_field(group: type[Settings]) -> set[str]:
    """The fields of a group and of all that build on it."""
    return set(group.model_fields).union(*(_every_field(built_on_it) for built_on_it in group.__subclasses__()))


def _refuse_unknown_keys(file: Path) -> None:
    import tomllib

    try:
        keys = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"{CONFIG_VARIABLE}={file} cannot be read: {error}") from error
    unknown = sorted(set(keys) - _every_field(Settings))
    if unknown:
        raise ConfigurationError(
            f"{unknown[0]} in {file} is not a setting of Waggle. `waggle config show` lists all of them."
        )


def _explain(cls: type[Settings], error: ValidationError) -> str:
    lines = []
    for problem in error.errors(include_url=False, include_input=False):
        if problem["type"] == FOLLOWS_FROM_OTHERS:
            continue
        name = str(problem["loc"][0]) if problem["loc"] else ""
        field: FieldInfo | None = cls.model_fields.get(name)
        example = f" Example: {variable(name)}={field.examples[0]}" if field and field.examples else ""
        lines.append(f"{variable(name)}: {problem['msg'].removeprefix('Value error, ')}.{example}")
    return "\n".join(lines)
