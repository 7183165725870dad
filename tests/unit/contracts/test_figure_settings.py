"""Settings of key figures."""

from __future__ import annotations

import pytest

from contracts.figure_settings import Price, Thresholds, parse_prices, parse_thresholds
from contracts.settings import ObserverSettings


def test_thresholds_are_read() -> None:
    assert parse_thresholds("cpu=0.7/0.9, dead_letters=5,") == {
        "cpu": Thresholds(0.7, 0.9),
        "dead_letters": Thresholds(critical=5),
    }


def test_prices_are_read_of_models_with_odd_names() -> None:
    assert parse_prices("Qwen/Qwen3-8B=0.05/0.2,a=b=1/2") == {"Qwen/Qwen3-8B": Price(0.05, 0.2), "a=b": Price(1, 2)}


@pytest.mark.parametrize("text", ["cpu", "cpu=", "=1", "cpu=high", "cpu=1/2/3", "cpu=nan", "cpu=inf/1"])
def test_what_is_no_threshold_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form cpu=0\.7/0\.9"):
        parse_thresholds(text)


def test_a_figure_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="cpu is there twice"):
        parse_thresholds("cpu=1,cpu=2")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("m=1", "m needs two prices"),
        ("m=-1/2", "m needs two prices"),
        ("m", "is not of the form"),
        (",".join(f"m{number}=1/1" for number in range(17)), "at most 16 are taken"),
        (f"{'m' * 97}=1/1", "at most 96 are taken"),
    ],
)
def test_what_is_no_price_is_named(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_prices(text)


def test_the_observer_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WAGGLE_FIGURE_THRESHOLDS", "throughput=100/50")
    monkeypatch.setenv("WAGGLE_MODEL_PRICES", "m=1/2")

    settings = ObserverSettings()

    assert settings.thresholds == {"throughput": Thresholds(100, 50)}
    assert settings.prices == {"m": Price(1, 2)}
