"""Where a process of the fleet writes the stacks that it is asked for."""

from __future__ import annotations

import structlog

from contracts.settings import ProcessSettings
from observability.stacks import StackFile

log = structlog.get_logger(__name__)


def stack_file(service: str, settings: ProcessSettings) -> StackFile:
    """Beside the logs of a stack on this host; nothing is written yet."""
    return StackFile(settings.data_dir / "logs" / f"{service}-{settings.instance}.stacks")


def answer_dump_signal(file: StackFile) -> None:
    """Have SIGUSR1 write the stacks of all threads to `file`, or to standard error where no file can be written."""
    try:
        file.answer_signal()
    except OSError as error:
        log.debug("stacks go to standard error", file=str(file.path), reason=str(error))
        StackFile.answer_signal_to_stderr()
