"""An observer as a real process, with a short lease: `python -m tests.support.observer_process`. Settings come from the
environment.
"""

from __future__ import annotations

import asyncio
import sys

from contracts.settings import ObserverSettings
from observability.logging import configure_logging
from tests.support.observers import QUICK, table
from workers.observer.worker import build


def main() -> int:
    settings = ObserverSettings.load()
    configure_logging(level="info", format="json", service="observer", instance=settings.instance)
    return asyncio.run(build(settings, table=table(), rhythm=QUICK).run())


if __name__ == "__main__":
    sys.exit(main())
