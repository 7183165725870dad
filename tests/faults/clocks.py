"""Processes whose clock is wrong, and only that: what they measure durations by goes on as it is."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.faults.row import NotPossibleHere

SOURCE = Path(__file__).with_name("shifted_clock.c")
SHIFT_VARIABLE = "WAGGLE_TEST_CLOCK_SHIFT_S"


def clock_library(folder: Path) -> Path:
    """Compile what shifts a clock into `folder`. Raises `NotPossibleHere` without a C compiler, and where nothing is preloaded."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotPossibleHere("no C compiler is here to make the library that shifts clocks")
    library = folder / "shifted_clock.so"
    made = subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", str(library), str(SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise NotPossibleHere(f"the library that shifts clocks cannot be made ({made.stderr.strip()})")
    return library


def shifted(library: Path, shift_s: int) -> Mapping[str, str]:
    """The environment of a process whose clock is off by so many seconds."""
    return {"LD_PRELOAD": str(library), SHIFT_VARIABLE: str(shift_s)}
