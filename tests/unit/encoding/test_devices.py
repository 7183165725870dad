"""Which device is taken; what torch finds is given."""

from __future__ import annotations

import pytest

from contracts.errors import PermanentError
from contracts.model_settings import EncoderSettings
from contracts.settings_source import ConfigurationError
from workers.encoding.devices import Accelerators

NOTHING = Accelerators()
TWO_CARDS = Accelerators(cuda_devices=2)
APPLE = Accelerators(mps=True)


@pytest.mark.parametrize(
    ("here", "wanted", "taken"),
    [
        (NOTHING, "auto", "cpu"),
        (TWO_CARDS, "auto", "cuda"),
        (APPLE, "auto", "mps"),
        (Accelerators(cuda_devices=1, mps=True), "auto", "cuda"),
        (TWO_CARDS, "cpu", "cpu"),
        (TWO_CARDS, "cuda", "cuda"),
        (TWO_CARDS, "cuda:1", "cuda:1"),
        (APPLE, "mps", "mps"),
    ],
)
def test_the_wanted_device_or_the_fastest_is_taken(here: Accelerators, wanted: str, taken: str) -> None:
    assert here.choose(wanted, setting="WAGGLE_ENCODER_DEVICE") == taken


@pytest.mark.parametrize(
    ("here", "wanted"), [(NOTHING, "cuda"), (APPLE, "cuda:0"), (TWO_CARDS, "cuda:2"), (TWO_CARDS, "mps")]
)
def test_a_device_that_is_not_there_names_the_setting_and_what_there_is(here: Accelerators, wanted: str) -> None:
    with pytest.raises(PermanentError, match=f"WAGGLE_RERANKER_DEVICE={wanted}.*torch finds .*cpu"):
        here.choose(wanted, setting="WAGGLE_RERANKER_DEVICE")


@pytest.mark.parametrize("odd", ["gpu", "cuda:", "cuda:x", "cpu:0", ""])
def test_a_device_that_nobody_has_is_no_setting(monkeypatch: pytest.MonkeyPatch, odd: str) -> None:
    monkeypatch.setenv("WAGGLE_ENCODER_DEVICE", odd)
    with pytest.raises(ConfigurationError, match="WAGGLE_ENCODER_DEVICE"):
        EncoderSettings.load()
