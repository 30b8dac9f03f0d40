"""The run on one time axis, in at most 600 equal bins."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.attempts import Attempts
from janusload.analysis.censored import FloatArray
from janusload.analysis.ladder import ladder_of
from janusload.analysis.media import Flow
from janusload.records import MarkerKind
from janusload.summary import FailureKind, Timeline
from janusload.wording import failure, number

MOST_BINS = 600
_T = TypeVar("_T")
_WIDTHS_S = (0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400)
_MOST_MARKERS = 200
_BEGINNINGS = {
    MarkerKind.STALL.value: "stall: ",
    MarkerKind.STALL_END.value: "over: ",
    MarkerKind.FAULT.value: "done on purpose: ",
    MarkerKind.FAULT_UNDONE.value: "undone: ",
}
#: a reading of the server is taken once a second; it stands for the bins until the next, but not past a missing one
_READING_LASTS_S = 1.9


class Axis(NamedTuple):
    """Equal bins of time.

    Attributes:
        begin_ns: t = 0 of the run.
        width_ns: of a bin.
        bins: how many.
    """

    begin_ns: int
    width_ns: int
    bins: int

    def slots(self, moments_ns: NDArray[np.int64] | FloatArray) -> NDArray[np.int64]:
        """The bin of each moment, of the same shape; -1 outside."""
        slots = np.asarray((moments_ns - self.begin_ns) // self.width_ns, np.int64)
        return np.where((slots >= 0) & (slots < self.bins), slots, -1)


def axis_of(begin_ns: int, last_ns: int) -> Axis:
    """The finest round bins that a run fits into."""
    span_s = max(0.5, (last_ns - begin_ns) / 1e9)
    width_s = next((width for width in _WIDTHS_S if span_s / width <= MOST_BINS), span_s / MOST_BINS)
    return Axis(begin_ns, round(width_s * 1e9), min(MOST_BINS, int(np.ceil(span_s / width_s))))


def timeline_of(
    axis: Axis, attempts: Attempts, flow: Flow | None, server: pd.DataFrame, probe: pd.DataFrame, marker: pd.DataFrame
) -> Timeline:
    """Lay everything on the axis."""
    width_s = axis.width_ns / 1e9
    slots = axis.slots(attempts.due_ns)
    due = np.bincount(slots[slots >= 0], minlength=axis.bins)
    middles = axis.begin_ns + (np.arange(axis.bins) * axis.width_ns) + axis.width_ns // 2
    p50, p95 = _quantiles(axis, slots, attempts)
    server_slots = axis.slots(server["t_ns"].to_numpy(np.int64))
    return Timeline(
        bin_s=width_s,
        t_s=[index * width_s for index in range(axis.bins)],
        offered_per_s=[float(count) / width_s for count in due],
        participants=[None] * axis.bins if flow is None else [int(count) for count in flow.at(middles)],
        p50_ms=p50,
        p95_ms=p95,
        outcomes=_outcomes(axis, slots, attempts),
        server_cpu_percent=_means(axis, server_slots, server["cpu_percent"]),
        server_rss_mb=_means(axis, server_slots, server["rss_bytes"], 1e-6),
        rungs=_rungs(axis, probe),
        markers=_markers(axis, marker),
    )


def carried(axis: Axis, means: list[_T | None]) -> list[_T | None]:
    """Readings carried into the bins between them."""
    reach = int(_READING_LASTS_S * 1e9 // axis.width_ns)
    found: list[_T | None] = []
    age = 0
    last: _T | None = None
    for value in means:
        age, last = (0, value) if value is not None else (age + 1, last)
        found.append(last if age <= reach else None)
    return found


def _quantiles(
    axis: Axis, slots: NDArray[np.int64], attempts: Attempts
) -> tuple[list[float | None], list[float | None]]:
    """p50 and p95 per bin, ms; where a quantile lies among the timed-out attempts it stands at T, which it exceeds."""
    rows = attempts.judged & (slots >= 0)
    timeout_s = max(attempts.timeouts_s, default=0.0)
    waits = np.where(attempts.timed_out[rows], np.inf, attempts.wait_s[rows])
    finite = waits[np.isfinite(waits)]
    room = 1.0 + 2 * max(timeout_s, float(np.abs(finite).max(initial=0.0)))
    # Sorting bin * room + wait sorts all bins at once, an order of magnitude faster than a group-by.
    keys = np.sort(slots[rows] * room + np.minimum(waits, room / 2))
    counts = np.bincount(slots[rows], minlength=axis.bins)
    ends = np.cumsum(counts)
    lists: list[list[float | None]] = []
    for quantile in (0.50, 0.95):
        at = ends - counts + np.maximum(0, np.ceil(quantile * counts).astype(np.int64) - 1)
        values = keys[np.minimum(at, max(0, len(keys) - 1))] if len(keys) else np.zeros(axis.bins)
        values = values - np.arange(axis.bins) * room
        values = np.where(values >= room / 2 - 1e-6, timeout_s, np.maximum(values, 0.0))
        lists.append([float(v) * 1000 if n else None for v, n in zip(values, counts, strict=True)])
    return lists[0], lists[1]


def _outcomes(axis: Axis, slots: NDArray[np.int64], attempts: Attempts) -> dict[str, list[int]]:
    inside = slots >= 0
    kinds = len(attempts.outcome.categories)
    codes = np.asarray(attempts.outcome.codes, np.int64)[inside]
    table = np.bincount(codes * axis.bins + slots[inside], minlength=kinds * axis.bins).reshape(kinds, axis.bins)
    return {
        str(name): [int(count) for count in table[code]]
        for code, name in enumerate(attempts.outcome.categories)
        if table[code].any()
    }


def _means(
    axis: Axis, slots: NDArray[np.int64], values: pd.Series[float], scale: float = 1.0
) -> list[float | None] | None:
    known = (slots >= 0) & values.notna().to_numpy()
    if not known.any():
        return None
    counts = np.bincount(slots[known], minlength=axis.bins)
    sums = np.bincount(slots[known], weights=values.to_numpy(np.float64)[known], minlength=axis.bins)
    return carried(axis, [float(total) * scale / int(n) if n else None for total, n in zip(sums, counts, strict=True)])


def _rungs(axis: Axis, probe: pd.DataFrame) -> dict[str, list[bool | None]]:
    """Whether each rung answered in each bin: False as soon as one question went unanswered."""
    strips: dict[str, list[bool | None]] = {}
    for rung, history in ladder_of(probe, np.inf).items():
        slots = axis.slots(history.due_ns)
        asked = np.bincount(slots[slots >= 0], minlength=axis.bins)
        missed = np.bincount(slots[(slots >= 0) & ~history.alive], minlength=axis.bins)
        answers = [None if not n else not bool(m) for n, m in zip(asked, missed, strict=True)]
        strips[str(rung)] = carried(axis, answers)
    return strips


def _told(kind: str, label: str) -> str:
    """A marker for people; `limited` and `stall` begin with the kind of failure as it is written in files."""
    what, colon, rule = label.partition(": ")
    if colon and what in set(FailureKind):
        label = f"{failure(FailureKind(what))}: {rule}"
    return f"{_BEGINNINGS.get(kind, '')}{label}"


def _markers(axis: Axis, marker: pd.DataFrame) -> list[tuple[float, str]]:
    ordered = marker.sort_values("t_ns", kind="stable")
    words: list[tuple[float, str]] = []
    for t_ns, kind, step, label, value in zip(
        ordered["t_ns"].tolist(),
        ordered["kind"].astype(str),
        ordered["step"].tolist(),
        ordered["label"].astype(str),
        ordered["value"].tolist(),
        strict=True,
    ):
        at_s = (t_ns - axis.begin_ns) / 1e9
        if kind == MarkerKind.STEP_BEGIN:
            words.append((at_s, f"step {step + 1}: {number(value)}"))
        elif kind == MarkerKind.RECOVERED:
            words.append((at_s, "recovered"))
        elif kind != MarkerKind.STEP_END:
            words.append((at_s, _told(kind, label)))
    return words[:_MOST_MARKERS]
