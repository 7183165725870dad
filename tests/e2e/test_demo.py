"""What `make demo` runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.waggle import Waggle


@pytest.mark.timeout(1500)
def test_the_demo_answers_in_both_languages_and_leaves_nothing_behind(tmp_path: Path) -> None:
    ran = Waggle(data_dir=tmp_path)("demo")

    assert ran.stdout.count("[en] ") == 3
    assert ran.stdout.count("[zh] ") == 3
    assert ran.stdout.count("  [1] ") == 6
    assert "gateway: ready" in ran.stdout
    assert "Stopped." in ran.stderr
    assert not list(tmp_path.iterdir())
