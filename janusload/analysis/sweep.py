"""Which timeout should a client use? The onset under every shorter timeout, from the same attempts.

An attempt that was answered after 1.3 s timed out for anybody whose T is 1 s, so a run with one T knows the onset of
every shorter one. Longer ones it does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from janusload.analysis.answer import onset_of
from janusload.analysis.plan import Plan
from janusload.analysis.quantiles import deciding
from janusload.analysis.steps import Measured
from janusload.summary import VirtualTimeout

_POINTS = 16
_SHORTEST_SHARE = 0.02


def sweep_of(part: Sequence[Measured], stopped: Measured | None, plan: Plan, timeout_s: float) -> list[VirtualTimeout]:
    """The onset under timeouts from T/50 to T, in equal ratios; the last is T itself.

    Args:
        part: the steps that count, in the order of load.
        stopped: the step at which the analysis had to stop.
    """
    virtual_s = timeout_s * np.geomspace(_SHORTEST_SHARE, 1.0, _POINTS)
    return [_under(part, stopped, plan, timeout_s, float(each)) for each in virtual_s]


def _under(
    part: Sequence[Measured], stopped: Measured | None, plan: Plan, timeout_s: float, virtual_s: float
) -> VirtualTimeout:
    steps = [shortened(step, timeout_s, virtual_s) for step in part]
    onset = onset_of(steps, stopped, plan, virtual_s, intervals=False)
    return VirtualTimeout(
        timeout_s=virtual_s,
        status=onset.status,
        load_bracket=onset.load_bracket,
        load=onset.load,
        latency_ms=deciding(onset.latency_ms, plan.rule.quantile),
        rates=[step.timeouts / step.attempts for step in steps],
    )


def shortened(step: Measured, timeout_s: float, virtual_s: float) -> Measured:
    """The same step as a client with a shorter timeout would have seen it."""
    timed_out = step.service_s > virtual_s
    # what passed before the frame was written is not the server's and stays in the latency
    before_s = step.wait_s - np.where(step.timed_out, timeout_s, step.service_s)
    return replace(step, wait_s=before_s + np.minimum(step.service_s, virtual_s), timed_out=timed_out)
