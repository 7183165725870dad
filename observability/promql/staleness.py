"""The staleness marker: a sample that says that its series has ended."""

from __future__ import annotations

import struct
from typing import Final

import numpy as np
import numpy.typing as npt

STALE_BITS: Final = 0x7FF0_0000_0000_0002
"""The NaN that Prometheus uses. Other NaNs are values, so the bits decide."""
STALE: Final[float] = struct.unpack("<d", struct.pack("<Q", STALE_BITS))[0]

DEFAULT_LOOKBACK_MS: Final = 5 * 60 * 1000
"""How old a sample may be and still be its series' present value."""


def is_stale(value: float) -> bool:
    return value != value and struct.pack("<d", value) == struct.pack("<Q", STALE_BITS)  # noqa: PLR0124 (NaN, mostly not)


def stale_mask(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of `values` are staleness markers. `values` must be contiguous in its last axis."""
    return np.equal(values.view(np.uint64), np.uint64(STALE_BITS))
