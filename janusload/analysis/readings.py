"""What a row of readings comes to, where some may be unknown."""

from __future__ import annotations

import pandas as pd


def most(values: pd.Series[float]) -> float | None:
    """The highest; None if all are unknown."""
    known = values.dropna()
    return float(known.max()) if len(known) else None


def last(values: pd.Series[float]) -> float | None:
    """The last that is known."""
    known = values.dropna()
    return float(known.iloc[-1]) if len(known) else None


def grown(counter: pd.Series[float]) -> int | None:
    """By how much a counter grew; where it falls (sockets were closed, the process was started anew) is no growth.

    Args:
        counter: in the order of time.
    """
    known = counter.dropna()
    return int(known.diff().clip(lower=0).sum()) if len(known) else None
