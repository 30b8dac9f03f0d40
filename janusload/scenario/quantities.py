"""Quantities as people write them: always with their unit, and with `..` between the ends of a range."""

from __future__ import annotations

import random
import re
from typing import Annotated, NamedTuple

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_QUANTITY = re.compile(rf"^\s*({_NUMBER})\s*(\S.*?)?\s*$")

SECONDS = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
PER_SECOND = {"/s": 1.0, "/min": 1 / 60}
SHARE = {"%": 0.01}
BYTES_PER_SECOND = {"kB/s": 1e3, "MB/s": 1e6}
BYTES = {"kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}


class Span(NamedTuple):
    """A duration in seconds that may be drawn anew each time: from `low` to `high`, both of which it may be."""

    low: float
    high: float

    def draw(self, source: random.Random) -> float:
        """One duration, evenly from the range."""
        return self.low if self.low == self.high else source.uniform(self.low, self.high)

    def __str__(self) -> str:
        return duration(self.low) if self.low == self.high else f"{duration(self.low)}..{duration(self.high)}"


class Times(NamedTuple):
    """A whole number that may be drawn anew each time, from `low` to `high`."""

    low: int
    high: int

    def draw(self, source: random.Random) -> int:
        """One number, evenly from the range."""
        return self.low if self.low == self.high else source.randint(self.low, self.high)

    def __str__(self) -> str:
        return str(self.low) if self.low == self.high else f"{self.low}..{self.high}"


def quantity(value: object, units: dict[str, float], example: str) -> float:
    """Text such as `"2 s"` to a number in the base unit of `units`.

    Raises:
        ValueError: it is no text, or has no unit of these.
    """
    match = _QUANTITY.match(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        known = ", ".join(units)
        raise ValueError(f"{value!r} has no unit that fits here: write it like {example!r} (units: {known})")
    return float(match[1]) * units[match[2]]


def span(value: object) -> Span:
    """`"2 s"` or `"2 s..5 s"`. Raises ValueError."""
    example = "2 s"
    if not isinstance(value, str) or ".." not in value:
        only = quantity(value, SECONDS, example)
        return Span(only, only)
    low, high = (quantity(part, SECONDS, example) for part in value.split("..", 1))
    if high < low:
        raise ValueError(f"{value!r} ends before it begins")
    return Span(low, high)


def times(value: object) -> Times:
    """`3` or `"2..5"`. Raises ValueError."""
    match = re.fullmatch(r"\s*(\d+)\s*\.\.\s*(\d+)\s*", value) if isinstance(value, str) else None
    if match is not None:
        low, high = int(match[1]), int(match[2])
    elif isinstance(value, int) and not isinstance(value, bool):
        low = high = value
    else:
        raise ValueError(f"{value!r} is no count: write it like 3 or '2..5'")
    if low < 1 or high < low:
        raise ValueError(f"{value!r} is no count: it begins at 1 and does not end before it begins")
    return Times(low, high)


def duration(seconds: float) -> str:
    """Seconds as people write them."""
    if seconds == 0:
        return "0 s"
    for unit, size in (("h", 3600.0), ("min", 60.0)):
        if seconds >= size and (seconds / size).is_integer():
            return f"{seconds / size:g} {unit}"
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _text(units: dict[str, float], example: str, *, ranges: bool = False) -> WithJsonSchema:
    unit = f"({_NUMBER})\\s*({'|'.join(units)})"
    pattern = rf"^\s*{unit}(\s*\.\.\s*{unit})?\s*$" if ranges else rf"^\s*{unit}\s*$"
    return WithJsonSchema({"type": "string", "pattern": pattern, "examples": [example]})


def _as(units: dict[str, float], example: str) -> BeforeValidator:
    return BeforeValidator(lambda value: quantity(value, units, example))


Duration = Annotated[float, _as(SECONDS, "2 s"), Field(gt=0), _text(SECONDS, "2 s")]
Rate = Annotated[float, _as(PER_SECOND, "60/s"), Field(gt=0), _text(PER_SECOND, "60/s")]
Share = Annotated[float, _as(SHARE, "20 %"), Field(ge=0), _text(SHARE, "20 %")]
Bytes = Annotated[float, _as(BYTES, "256 MB"), Field(gt=0), _text(BYTES, "256 MB")]
BytesRate = Annotated[float, _as(BYTES_PER_SECOND, "600 kB/s"), Field(gt=0), _text(BYTES_PER_SECOND, "600 kB/s")]
DurationRange = Annotated[Span, PlainValidator(span), _text(SECONDS, "2 s..5 s", ranges=True)]
CountRange = Annotated[
    Times,
    PlainValidator(times),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": r"^\d+\s*\.\.\s*\d+$"}]}
    ),
]
