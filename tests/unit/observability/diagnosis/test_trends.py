"""The steady part of noisy samples."""

from __future__ import annotations

import statistics
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from observability.diagnosis.trends import median, trend

FINITE = st.floats(min_value=-1e12, max_value=1e12)


@given(st.lists(FINITE, min_size=1, max_size=60))
def test_the_median_is_that_of_statistics(values: list[float]) -> None:
    assert median(np.array(values)) == pytest.approx(statistics.median(values))


def test_a_third_of_wrong_samples_does_not_bend_a_slope() -> None:
    times = np.arange(30.0)
    values = 2.0 * times
    values[::4] = 1e6
    found = trend(times, values)
    assert found is not None
    assert found.slope_per_s == pytest.approx(2.0)


def test_it_imports_no_masked_arrays() -> None:
    """They are 10 MB of every observer."""
    program = (
        "import sys, numpy as np; from observability.diagnosis.trends import trend; "
        "trend(np.arange(9.0), np.arange(9.0)); print('numpy.ma' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout.strip() == "False"
