"""When each load step ran, from the run's markers, and which part of it counts."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.attempts import Attempts
from janusload.records import MarkerKind


class Window(NamedTuple):
    """One load step on the clock.

    Attributes:
        step: its number, as in `RequestRecord.step`.
        offered: the load that was meant to be.
        begin_ns, end_ns: when it ran.
        settled_ns: where counting begins; not before `end_ns` if the step was too short to settle.
        arrivals: how many arrivals the generator says it offered; None if the step never ended.
    """

    step: int
    offered: float
    begin_ns: int
    settled_ns: int
    end_ns: int
    arrivals: float | None

    @property
    def counted_s(self) -> float:
        return max(0, self.end_ns - self.settled_ns) / 1e9


def windows_of(marker: pd.DataFrame, settle_s: float, attempts: Attempts) -> list[Window]:
    """The steps that began, in the order of time.

    Args:
        marker: the `marker` frame.
        settle_s: what to drop at the beginning of each step.
        attempts: those under test; a step without an end is cut where its last one was due.
    """
    ordered = marker.sort_values("t_ns", kind="stable")
    begins = ordered[ordered["kind"] == MarkerKind.STEP_BEGIN].drop_duplicates("step")
    ends = ordered[ordered["kind"] == MarkerKind.STEP_END].drop_duplicates("step", keep="last").set_index("step")
    windows = []
    for step, begin_ns, offered in zip(begins["step"], begins["t_ns"], begins["value"], strict=True):
        arrivals: float | None = None
        if step in ends.index:
            end_ns = int(ends["t_ns"][step])
            value = float(ends["value"][step])
            arrivals = None if np.isnan(value) else value
        else:
            end_ns = int(attempts.due_ns[attempts.step == step].max(initial=begin_ns))
        windows.append(
            Window(
                step=int(step),
                offered=float(np.nan_to_num(offered)),
                begin_ns=int(begin_ns),
                settled_ns=int(begin_ns) + round(settle_s * 1e9),
                end_ns=end_ns,
                arrivals=arrivals,
            )
        )
    return windows


_PER_BIN = 600
_MOST_BINS = 40


def bins_of_equal_count(attempts: Attempts, marker: pd.DataFrame) -> tuple[Attempts, list[Window]]:
    """Cut a run that has no steps (a ramp, a soak, a run of Locust's own shapes) into bins of equal count.

    Returns:
        The attempts with their bin for a step, and the bins; the attempts as they were and no bins if there are steps
        or no attempts.
    """
    if not len(attempts) or (marker["kind"] == MarkerKind.STEP_BEGIN).any():
        return attempts, []
    order = np.argsort(attempts.due_ns, kind="stable")
    count = int(np.clip(len(attempts) // _PER_BIN, 1, _MOST_BINS))
    edges = np.linspace(0, len(attempts), count + 1).astype(np.int64)
    step = np.empty(len(attempts), np.int32)
    step[order] = np.repeat(np.arange(count, dtype=np.int32), np.diff(edges))
    moments = attempts.due_ns[order]
    # a bin ends where the next one begins; the last one as long after its last attempt as they are apart
    ends = np.append(moments[edges[1:-1]], moments[-1] + (moments[-1] - moments[0]) // max(1, len(moments) - 1) + 1)
    windows = []
    for at in range(count):
        begin_ns, end_ns = int(moments[edges[at]]), int(ends[at])
        made = int(edges[at + 1] - edges[at])
        offered = made / max(1e-9, (end_ns - begin_ns) / 1e9)
        windows.append(Window(at, offered, begin_ns, begin_ns, max(end_ns, begin_ns + 1), None))
    return replace(attempts, step=step), windows


def step_at(windows: list[Window], moments_ns: NDArray[np.int64]) -> NDArray[np.int32]:
    """The step of each moment, -1 outside; windows in the order of time, as they came from `bins_of_equal_count`."""
    begins = np.array([window.begin_ns for window in windows], np.int64)
    ends = np.array([window.end_ns for window in windows], np.int64)
    at = np.searchsorted(begins, moments_ns, side="right") - 1
    inside = (at >= 0) & (moments_ns < ends[at])
    return np.where(inside, np.array([window.step for window in windows], np.int32)[at], np.int32(-1))
