"""The time that a store goes by."""

from __future__ import annotations

import pytest

from tests.unit.observability.series.stores import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()
