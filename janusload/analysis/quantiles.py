"""From seconds as they were measured to the quantiles in milliseconds that the summary holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from janusload.analysis.censored import BoolArray, CensoredQuantile, FloatArray, km_quantiles
from janusload.summary import Quantile, Quantiles

SHOWN = (0.50, 0.95, 0.99)


def in_milliseconds(quantile: CensoredQuantile) -> Quantile:
    """A quantile of seconds as the summary holds it."""
    # A clock of another process may be read a hair earlier: the time to an answer is never shown as negative.
    return Quantile(value=max(0.0, quantile.value * 1000), at_least=quantile.at_least)


def named(quantiles: Sequence[Quantile] | None) -> Quantiles:
    """Quantiles in the order of `SHOWN`; empty if nothing was measured."""
    if quantiles is None:
        return Quantiles()
    return Quantiles(p50=quantiles[0], p95=quantiles[1], p99=quantiles[2])


def latency_ms(wait_s: FloatArray, timed_out: BoolArray, timeout_s: float | None) -> Quantiles:
    """The Kaplan-Meier quantiles of judged attempts.

    Args:
        wait_s: shape (n,), latency, or for a timed-out attempt how long it was waited for.
        timed_out: shape (n,).
        timeout_s: T, beyond which no bound is claimed.
    """
    found = km_quantiles(wait_s, ~timed_out, SHOWN, timeout_s)
    return named(None if found is None else [in_milliseconds(quantile) for quantile in found])


#: shares at which a curve is kept: close together where people look
_CURVE = np.unique(
    np.round(np.concatenate((np.arange(0.02, 1.0, 0.04), [0.001, 0.01, 0.5, 0.95, 0.99, 0.995, 0.999])), 4)
)


def curve_ms(wait_s: FloatArray, timed_out: BoolArray, timeout_s: float | None) -> list[tuple[float, float]]:
    """The Kaplan-Meier curve as (ms, share answered within it), as far up as it is known.

    Args:
        wait_s, timed_out, timeout_s: as for `latency_ms`.
    """
    found = km_quantiles(wait_s, ~timed_out, _CURVE, timeout_s) or []
    return [
        (round(max(0.0, quantile.value * 1000), 3), float(share))
        for quantile, share in zip(found, _CURVE, strict=False)
        if not quantile.at_least
    ]


def spread(values_ms: pd.Series[float]) -> Quantiles | None:
    """Plain quantiles of what is fully known, in the unit given; unknown values are left out, None if all are."""
    known = np.asarray(values_ms.dropna(), np.float64)
    found = km_quantiles(known, np.ones(known.shape, np.bool_), SHOWN)
    return None if found is None else named([Quantile(value=max(0.0, quantile.value)) for quantile in found])


def deciding(quantiles: Quantiles | None, quantile: float) -> Quantile | None:
    """The quantile by which the onset is told; p95 if it is none of those shown."""
    if quantiles is None:
        return None
    return {0.5: quantiles.p50, 0.95: quantiles.p95, 0.99: quantiles.p99}.get(quantile, quantiles.p95)
