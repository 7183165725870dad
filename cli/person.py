"""Who runs a command."""

from __future__ import annotations

import getpass
import os
import socket


def whoever() -> str:
    """Who gives an order, as far as this system knows: `ann@host`."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user need not have a name
        name = str(os.getuid())
    return f"{name}@{socket.gethostname()}"[:256]
