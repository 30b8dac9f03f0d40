"""When each load step ran, from the run's markers, and which part of it counts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

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
