"""The onset along prevailing latency instead of load (measurement.md section 3, point 8).

Load is what we chose; the server may have been slow for reasons of its own. So attempts are also put in the order of
how slow the ladder's `ping` had been just before each of them, whatever the load was, and the same rule is applied.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.answer import onset_of
from janusload.analysis.attempts import Attempts
from janusload.analysis.bootstrap import SEED
from janusload.analysis.censored import FloatArray
from janusload.analysis.plan import Plan
from janusload.analysis.steps import Measured, rate_of
from janusload.records import Rung
from janusload.summary import LatencyBin, Onset

AXIS = "ms of ping before it"

_WINDOW_NS = 10_000_000_000
_GRID_NS = 250_000_000
_LEAST_PINGS = 3
_PER_BIN = 600
_MOST_BINS = 12


def by_latency(
    probe: pd.DataFrame, attempts: Attempts, part: Sequence[Measured], plan: Plan, timeout_s: float
) -> tuple[Onset, list[LatencyBin]] | None:
    """The onset, and its bins, with attempts in the order of prevailing latency; its load is that latency, in ms.

    Args:
        probe: the `probe` frame.
        attempts: those under test.
        part: the steps that count; only attempts of theirs are taken, settled or not.

    Returns:
        None if the ladder did not ask often enough for two bins.
    """
    pings = probe[probe["rung"] == Rung.PING].sort_values("due_ns", kind="stable")
    steps = np.array([step.window.step for step in part], np.int32)
    rows = np.flatnonzero(attempts.judged & np.isin(attempts.step, steps))
    if pings.empty or not rows.size:
        return None
    before_ms = 1000 * _prevailing_s(pings, attempts.due_ns[rows], plan.rule.quantile)
    rows, before_ms = rows[~np.isnan(before_ms)], before_ms[~np.isnan(before_ms)]
    count = min(_MOST_BINS, len(rows) // _PER_BIN)
    if count < 2:
        return None
    # Attempts after equal pings are alike, whenever they were made: in the order of time one bin would get the last.
    mixed = np.random.default_rng(SEED).permutation(len(rows))
    rows, before_ms = rows[mixed], before_ms[mixed]
    order = np.argsort(before_ms, kind="stable")
    bins = [_bin(attempts, rows[chosen], before_ms[chosen], part[0]) for chosen in np.array_split(order, count)]
    onset = onset_of(bins, None, plan._replace(axis=AXIS), timeout_s, intervals=False)
    return onset, [LatencyBin(ping_ms=each.achieved, rate=rate_of(each, plan.rule)) for each in bins]


def _bin(attempts: Attempts, rows: NDArray[np.int64], before_ms: FloatArray, like: Measured) -> Measured:
    rows = rows[np.argsort(attempts.due_ns[rows], kind="stable")]
    return replace(
        like,
        achieved=float(np.median(before_ms)),
        due_ns=attempts.due_ns[rows],
        wait_s=attempts.wait_s[rows],
        service_s=attempts.service_s[rows],
        timed_out=attempts.timed_out[rows],
    )


def _prevailing_s(pings: pd.DataFrame, moments_ns: NDArray[np.int64], quantile: float) -> FloatArray:
    """What the pings of the ten seconds before each moment had to wait, at that quantile; NaN with fewer than three.

    Only what was known at the moment counts: a ping that was still pending has waited for as long as it had, and is
    censored there; what became of it is not looked at.
    """
    first_ns = int(moments_ns.min())
    # The quantile changes with every ping and not with every attempt: a grid finer than the pings tells the same.
    slots = (moments_ns - first_ns) // _GRID_NS
    grid_ns = first_ns + np.arange(int(slots.max()) + 1, dtype=np.int64) * _GRID_NS
    due_ns = pings["due_ns"].to_numpy(np.int64)
    answered_ns = pings["answered_ns"].to_numpy(np.float64)
    last = np.searchsorted(due_ns, grid_ns, side="left")
    width = int(np.max(last - np.searchsorted(due_ns, grid_ns - _WINDOW_NS, side="left"), initial=1))
    at = last[:, np.newaxis] - 1 - np.arange(width)
    inside = (at >= 0) & (due_ns[at] >= (grid_ns - _WINDOW_NS)[:, np.newaxis])
    known = inside & (answered_ns[at] <= grid_ns[:, np.newaxis])
    waited_s = (np.where(known, answered_ns[at], grid_ns[:, np.newaxis]) - due_ns[at]) / 1e9
    return _row_quantiles(waited_s, known, inside, quantile)[slots]


def _row_quantiles(times: FloatArray, observed: NDArray[np.bool_], inside: NDArray[np.bool_], q: float) -> FloatArray:
    """The Kaplan-Meier quantile of each row, its lower bound where the curve stays above; NaN with too few entries.

    Args:
        times, observed, inside: shape (rows, width); entries that are not inside do not count.
    """
    times = np.where(inside, times, np.inf)
    order = np.lexsort((~observed, times), axis=1)
    times = np.take_along_axis(times, order, axis=1)
    observed = np.take_along_axis(observed, order, axis=1)
    size = inside.sum(axis=1)
    left = np.maximum(1, size[:, np.newaxis] - np.arange(times.shape[1]))
    survival = np.cumprod(1.0 - np.where(observed, 1.0 / left, 0.0), axis=1)
    below = survival <= 1.0 - q + 1e-9
    longest = np.take_along_axis(times, np.maximum(0, size - 1)[:, np.newaxis], axis=1)[:, 0]
    found = np.where(
        below.any(axis=1), np.take_along_axis(times, below.argmax(axis=1)[:, np.newaxis], axis=1)[:, 0], longest
    )
    return np.where(size >= _LEAST_PINGS, found, np.nan)
