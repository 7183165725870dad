"""Programs for Node.js, with what they depend on installed from their lock file."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL_S = 120.0


def installed(program: Path, *, into: Path) -> Path:
    """A copy of a program's folder with its dependencies. Skips the test where npm is missing, or fails it where it has to be there."""
    npm = shutil.which("npm")
    if npm is None:
        reason = "npm is not installed (Debian: apt-get install nodejs npm)"
        if os.environ.get("WAGGLE_REQUIRE_ENGINES"):
            pytest.fail(reason)
        pytest.skip(reason)
    folder = Path(shutil.copytree(program, into / program.name, ignore=shutil.ignore_patterns("node_modules")))
    done = subprocess.run(
        [npm, "ci", "--no-audit", "--no-fund"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=INSTALL_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr or done.stdout
    return folder
