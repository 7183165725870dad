"""Files that the settings name: are they there, and can they be understood?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from contracts.errors import WaggleError
from contracts.settings import AllSettings
from deploy.checkup.finding import Finding, fail, ok
from observability.notifications import load_config
from observability.recovery import load_policy


def named(settings: AllSettings) -> Iterator[Finding]:
    """One finding for each file that is named."""
    for check, variable, file, load in (
        ("notifications", "WAGGLE_NOTIFY_CONFIG", settings.notify_config, load_config),
        ("recovery", "WAGGLE_RECOVERY_POLICY", settings.recovery_policy, load_policy),
    ):
        if file is not None:
            yield _found(check, variable, file, load)


def _found(check: str, variable: str, file: Path, load: Callable[[Path], object]) -> Finding:
    try:
        load(file)
    except WaggleError as error:
        return fail(check, str(error), f"Mend it, or name another file in {variable}.")
    return ok(check, f"{file} can be read")
