"""How far the onset would wander if the run were repeated: a block bootstrap inside the steps.

Stalls come in bursts, so neighbouring attempts tell nearly the same and resampling single ones would promise too much
(Künsch 1989). Whole blocks of at least 2 T are drawn instead, from anywhere in the step, its end joined to its
beginning (Politis and Romano 1992). A replicate is never built: a step is cut into short cells, and each replicate is
a vector of how often each cell was drawn.

Nothing was measured between two steps: an M/G/1 server's latency there is nowhere near a straight line. So a replicate
does not say where between two neighbouring steps the rate crosses p0. Its steps below count for the lower end of the
interval and those above for the upper end: the only assumption is that neither rate nor latency falls with load.
Replicates without a bracket count too (the crossing is then sought among all steps): which of them have one is chance,
and leaving the others out would make the interval short.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from janusload.analysis.censored import BoolArray, FloatArray
from janusload.analysis.onset import Rule, crossings, locate_all

REPLICATES = 1000
SEED = 20_261_122

_BLOCK_TIMEOUTS = 2.0  # a block lasts so many T
_CELLS_PER_BLOCK = 4
_MOST_CELLS = 1200
_MOST_TIMES = 2048  # distinct latencies kept of a step; beyond that they are rounded to 1/2048 of its attempts
_AT_ONCE = 128  # replicates whose curves fit into a core's cache together: twice as fast as all at once


class StepSample(NamedTuple):
    """What a step holds for the bootstrap.

    Attributes:
        load: achieved.
        due_ns, wait_s, timed_out: shape (n,), in the order in which the attempts were due.
    """

    load: float
    due_ns: NDArray[np.int64]
    wait_s: FloatArray
    timed_out: BoolArray


class Intervals(NamedTuple):
    """95 % intervals of the onset.

    Attributes:
        latency_s: one (low, high) per quantile.
        load: (low, high).
        without: share of replicates without a bracket.
    """

    latency_s: list[tuple[float, float]]
    load: tuple[float, float]
    without: float


def bootstrap(
    steps: Sequence[StepSample], rule: Rule, timeout_s: float, quantiles: Sequence[float], replicates: int = REPLICATES
) -> Intervals:
    """Repeat the search for the onset on resampled steps; the same steps always give the same intervals.

    Args:
        steps: those that take part, in the order of load, none of them empty.
        quantiles: of the latency at the onset.
    """
    random = np.random.default_rng(SEED)
    drawn = [_draw(random, _cells(step.due_ns, timeout_s), replicates) for step in steps]
    attempts = np.stack([weights @ counts for weights, counts, _ in drawn], axis=1)
    timeouts = np.stack(
        [
            weights @ np.bincount(cells, weights=step.timed_out, minlength=len(counts))
            for step, (weights, counts, cells) in zip(steps, drawn, strict=True)
        ],
        axis=1,
    )
    found = locate_all(attempts, timeouts, rule)
    without = 1.0 - float(((found.good >= 0) & (found.bad >= 0)).mean())
    where = crossings(attempts, timeouts, found, rule.p0)
    rows = np.arange(replicates)
    latency = np.empty((2, replicates, len(quantiles)))
    for side, ends in enumerate((where.below, where.above)):
        for at in np.unique(ends):
            mine = ends == at
            weights, _, cells = drawn[at]
            latency[side, mine] = _quantiles(steps[at], cells, weights[rows[mine]], timeout_s, quantiles)
    loads = np.array([step.load for step in steps])
    return Intervals(
        latency_s=[_interval(latency[0, :, column], latency[1, :, column]) for column in range(len(quantiles))],
        load=_interval(loads[where.below], loads[where.above]),
        without=without,
    )


def _cells(due_ns: NDArray[np.int64], timeout_s: float) -> NDArray[np.int64]:
    """The cell of each attempt, shape (n,): equal spans of at most a quarter of a block."""
    span_s = max(1e-9, float(due_ns[-1] - due_ns[0]) / 1e9)
    cell_s = _BLOCK_TIMEOUTS * timeout_s / _CELLS_PER_BLOCK
    count = int(np.clip(np.ceil(span_s / cell_s), 1, _MOST_CELLS))
    cells = ((due_ns - due_ns[0]) / 1e9 / span_s * count).astype(np.int64)
    return np.asarray(np.minimum(cells, count - 1))


def _draw(
    random: np.random.Generator, cells: NDArray[np.int64], replicates: int
) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
    """How often each replicate drew each cell, shape (replicates, cells); attempts per cell; the cells."""
    counts = np.bincount(cells).astype(np.float64)
    size = len(counts)
    length = min(_CELLS_PER_BLOCK, size)
    # Few long blocks vary less than the step itself does, by the share 1 - length / size (Politis and Romano 1993), and
    # percentile intervals of few blocks are short as it is. So fewer cells are drawn and each counts for more; the
    # number of attempts stays what it is. With these three quarters intervals hold the truth in 92 % of runs and more
    # where they held it in 87 % (tests/analysis/check_statistics.py).
    taken = max(length, (size - length) * 3 // 4)
    blocks = -(-taken // length)
    starts = random.integers(0, size, (replicates, blocks))
    weights = np.zeros(replicates * size)
    row = np.arange(replicates)[:, np.newaxis] * size
    for offset in range(length):
        whole = blocks if (blocks - 1) * length + offset < taken else blocks - 1  # the last block is cut short
        weights += np.bincount((row + (starts[:, :whole] + offset) % size).ravel(), minlength=replicates * size)
    return weights.reshape(replicates, size) * (size / taken), counts, cells


def _quantiles(
    step: StepSample, cells: NDArray[np.int64], weights: FloatArray, timeout_s: float, quantiles: Sequence[float]
) -> FloatArray:
    """Kaplan-Meier quantiles of weighted attempts, shape (len(weights), len(quantiles)); T where the curve stays
    above."""
    events = np.sort(step.wait_s[~step.timed_out])
    edges = np.unique(events[np.linspace(0, len(events) - 1, min(len(events), _MOST_TIMES)).astype(np.int64)])
    if not len(edges):
        return np.full((len(weights), len(quantiles)), timeout_s)
    times = len(edges)
    slots = np.searchsorted(edges, step.wait_s, side="left")  # an answer counts at the next kept time
    slots[step.timed_out] = np.searchsorted(edges, step.wait_s[step.timed_out], side="right")
    shape = (weights.shape[1], times + 1)
    answered, withdrawn = (
        np.bincount(cells[rows] * shape[1] + slots[rows], minlength=shape[0] * shape[1]).reshape(shape)
        for rows in (~step.timed_out, step.timed_out)
    )
    found = np.empty((len(weights), len(quantiles)))
    for first in range(0, len(weights), _AT_ONCE):
        some = slice(first, first + _AT_ONCE)
        came = weights[some] @ answered[:, :times]
        gone = weights[some] @ withdrawn
        through = np.cumsum(came + gone[:, :times], axis=1)
        # who is at risk at a time: neither answered before it, nor withdrawn at or before it
        risk = through[:, -1:] + gone[:, times:] - through + came
        survival = np.cumprod(1.0 - came / np.maximum(risk, 1e-12), axis=1)
        for column, quantile in enumerate(quantiles):
            below = survival <= 1.0 - quantile + 1e-9
            found[some, column] = np.where(below.any(axis=1), edges[below.argmax(axis=1)], timeout_s)
    return found


def _interval(below: FloatArray, above: FloatArray) -> tuple[float, float]:
    return float(np.quantile(below, 0.025)), float(np.quantile(above, 0.975))


def ratio_interval(
    base: StepSample, new: StepSample, timeout_s: float, quantile: float, replicates: int = REPLICATES
) -> tuple[tuple[float, float], float, tuple[float, float]]:
    """One latency quantile of two steps of different runs.

    Returns:
        The quantile of each in seconds (T where the curve stays above), their ratio new over base, and the 95 %
        interval of that ratio.
    """
    random = np.random.default_rng(SEED)
    found = []
    for step in (base, new):
        weights, counts, cells = _draw(random, _cells(step.due_ns, timeout_s), replicates)
        weights = np.vstack((np.ones(len(counts)), weights))
        found.append(np.maximum(1e-9, _quantiles(step, cells, weights, timeout_s, (quantile,))[:, 0]))
    ratios = found[1] / found[0]
    low, high = np.quantile(ratios[1:], (0.025, 0.975))
    return (float(found[0][0]), float(found[1][0])), float(ratios[0]), (float(low), float(high))
