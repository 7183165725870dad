"""Numbers for people, to the letter as Prometheus' templates write them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Final

LARGE: Final = ("", "k", "M", "G", "T", "P", "E", "Z", "Y")
LARGE_BINARY: Final = ("", "ki", "Mi", "Gi", "Ti", "Pi", "Ei", "Zi", "Yi")
SMALL: Final = ("", "m", "u", "n", "p", "f", "a", "z", "y")


def shortest(value: float) -> str:
    """As few digits as tell it from its neighbours, with an exponent from a million on: `0.5`, `1.5e+06`."""
    if not math.isfinite(value):
        return unbounded(value)
    number = Decimal(repr(value)).normalize()
    sign, digits, power = number.as_tuple()
    exponent = len(digits) - 1 + int(power)
    if value == 0 or -4 <= exponent < 6:
        return f"{number:f}"
    fraction = "".join(str(digit) for digit in digits[1:])
    mantissa = f"{digits[0]}.{fraction}" if fraction else str(digits[0])
    return f"{'-' if sign else ''}{mantissa}e{exponent:+03d}"


def four_digits(value: float) -> str:
    """Four significant digits."""
    return f"{value:.4g}" if math.isfinite(value) else unbounded(value)


def unbounded(value: float) -> str:
    """What stands for a value without digits."""
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def humanize(value: float) -> str:
    """With a metric prefix: 1234567 as `1.235M`, 0.004 as `4m`."""
    if value == 0 or not math.isfinite(value):
        return four_digits(value)
    return _prefixed(value, LARGE, 1000) if abs(value) >= 1 else _small(value)


def humanize1024(value: float) -> str:
    """With a binary prefix: 1048576 as `1Mi`."""
    if abs(value) <= 1 or not math.isfinite(value):
        return four_digits(value)
    return _prefixed(value, LARGE_BINARY, 1024)


def humanize_percentage(value: float) -> str:
    """A share as a percentage: 0.125 as `12.5%`."""
    return f"{four_digits(value * 100)}%"


def humanize_duration(seconds: float) -> str:
    """Seconds in units: 3661 as `1h 1m 1s`, 0.25 as `250ms`."""
    if not math.isfinite(seconds):
        return four_digits(seconds)
    if seconds == 0:
        return f"{four_digits(seconds)}s"
    if abs(seconds) < 1:
        return f"{_small(seconds)}s"
    sign, size = ("-" if seconds < 0 else ""), abs(seconds)
    whole = int(size)
    parts = [(whole // 86400, "d"), (whole // 3600 % 24, "h"), (whole // 60 % 60, "m"), (whole % 60, "s")]
    while parts and not parts[0][0]:
        parts.pop(0)
    if len(parts) <= 1:
        return f"{sign}{four_digits(size)}s"
    return sign + " ".join(f"{count}{unit}" for count, unit in parts)


def _prefixed(value: float, prefixes: Sequence[str], step: int) -> str:
    for prefix in prefixes[:-1]:
        if abs(value) < step:
            return f"{four_digits(value)}{prefix}"
        value /= step
    return f"{four_digits(value)}{prefixes[-1]}"


def _small(value: float) -> str:
    for prefix in SMALL[:-1]:
        if abs(value) >= 1:
            return f"{four_digits(value)}{prefix}"
        value *= 1000
    return f"{four_digits(value)}{SMALL[-1]}"
