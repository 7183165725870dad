"""What the tests of running observers share."""

from __future__ import annotations

import pytest

from tests.unit.observability.notifications.fleet import Fleet


@pytest.fixture
def fleet() -> Fleet:
    return Fleet()
