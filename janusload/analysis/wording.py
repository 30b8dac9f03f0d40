"""Numbers and names as they stand in a sentence, rounded to what they are worth."""

from __future__ import annotations

import math

from janusload.summary import Quantile

#: what would be written as 0.0 s
AT_ONCE_S = 0.05


def seconds_after(seconds: float) -> str:
    """How long after something: `2.4 s after`, `as soon as`."""
    return "as soon as" if seconds < AT_ONCE_S else f"{seconds:.1f} s after"


def figure(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, whole from there up: 181.7 -> 182, 0.01234 -> 0.0123."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{round(value):,}" if places <= 0 else f"{round(value, places):g}"


def percent(share: float) -> str:
    """A share as a percentage to two significant digits."""
    return f"{figure(100 * share, 2)} %"


def duration(milliseconds: float) -> str:
    """A duration to two significant digits, in the unit in which people say it."""
    number, unit = _scaled(milliseconds)
    return f"{number} {unit}"


def bound(quantile: Quantile) -> str:
    """A quantile, saying so where it is only a lower bound."""
    return f"at least {duration(quantile.value)}" if quantile.at_least else duration(quantile.value)


def duration_range(low: Quantile, high: Quantile) -> str:
    """Two quantiles as a range: `1.3-1.7 s`, `40 ms to at least 2 s`."""
    (first, unit), (second, other) = _scaled(low.value), _scaled(high.value)
    if low.at_least and high.at_least:
        return bound(low if low.value <= high.value else high)
    if low.at_least or high.at_least or unit != other:
        return f"{bound(low)} to {bound(high)}"
    return f"{first} {unit}" if first == second else f"{first}-{second} {unit}"


def load_range(low: float, high: float) -> tuple[str, str]:
    """Both ends of a load bracket with as many digits as it takes to tell them apart."""
    for digits in (2, 3, 4, 5):
        first, second = figure(low, digits), figure(high, digits)
        if first != second and abs(float(first.replace(",", "")) - low) <= 0.1 * abs(high - low):
            break
    return first, second


def _scaled(milliseconds: float) -> tuple[str, str]:
    if milliseconds >= 995:
        return figure(milliseconds / 1000, 2), "s"
    return figure(milliseconds, 2), "ms"
