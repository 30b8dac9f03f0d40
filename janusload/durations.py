"""How long something took, in words. Apart from `wording`, since the command line must not load every summary's models
before it has said a word."""

from __future__ import annotations


def span(value_s: float) -> str:
    """How long something took, for people: `41 s`, `3 min 50 s`, `2 h 5 min`."""
    whole = round(value_s)
    if whole < 120:
        return f"{whole} s"
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
