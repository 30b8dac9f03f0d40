"""Times in which Janus answered nothing at all although it was asked: what tells a stuck server from a slow one.

A slow server works off its queue: answers keep arriving, if only to attempts that had long timed out. A stuck one
answers nothing. So it takes the late answers to tell the two apart, and where none were ever recorded, silence alone
proves nothing.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from janusload.analysis.censored import FloatArray
from janusload.records import Rung

_BIN_NS = 1_000_000_000
_LEAST_S = 5.0
_LEAST_ASKED = 3  # seconds in which something was asked: where nothing is asked, nothing is answered
_REQUEST_RUNGS = [Rung.PING, Rung.CREATE, Rung.AUDIOBRIDGE_SYNC]
_BUSY_SHARE = 0.8  # of the CPU it may use: a process that works this hard is slow, whatever it answers
_BUSY_THROTTLED = 0.2


class Silence(NamedTuple):
    """A span in which requests were written and nothing was answered.

    Attributes:
        begin_ns, end_ns: from the first second without an answer to the first with one.
        lasts: whether it lasts to the end of the run.
        idle: whether the server's CPU, where it is known, was not the reason.
        late_known: whether the run recorded late answers at all.
    """

    begin_ns: int
    end_ns: int
    lasts: bool
    idle: bool
    late_known: bool

    def trusted(self, off_ns: int | None) -> bool:
        """Whether it shows a stall: overload does not end while the load stays on, nor does it stop answering."""
        return not self.lasts and (self.late_known or off_ns is None or self.end_ns < off_ns)


def least_silence_s(timeout_s: float) -> float:
    """From how many seconds without an answer on it is a silence."""
    return max(_LEAST_S, 2 * timeout_s)


def silences_of(
    request: pd.DataFrame,
    probe: pd.DataFrame,
    server: pd.DataFrame,
    timeout_s: float,
    until_ns: float,
    cpu_limit_percent: float | None,
) -> list[Silence]:
    """Every silence of at least max(5 s, 2 T), in order.

    Args:
        request, probe, server: frames of `frames.read_frames`; requests of every name count, and the rungs that a
            request thread must answer.
        until_ns: the end of what is looked at.
    """
    sent_ns = _known(request["sent_ns"].to_numpy(np.float64), until_ns)
    if sent_ns.size == 0:
        return []
    begin_ns = float(sent_ns.min())
    late_ns = _known(request["late_ns"].to_numpy(np.float64), until_ns)
    answered_ns = _known(request["answered_ns"].to_numpy(np.float64), until_ns)
    rungs_ns = probe["answered_ns"][probe["rung"].isin(_REQUEST_RUNGS)].to_numpy(np.float64)
    answered_ns = np.concatenate((answered_ns, _known(rungs_ns, until_ns)))
    last_ns = max(float(each.max(initial=0.0)) for each in (sent_ns, late_ns, answered_ns))
    bins = int((last_ns - begin_ns) // _BIN_NS) + 1
    asked = _per_bin(sent_ns, begin_ns, bins) > 0
    answered = _per_bin(answered_ns, begin_ns, bins) + _per_bin(late_ns, begin_ns, bins) > 0
    quiet = np.concatenate(([False], ~answered, [False]))
    edges = np.flatnonzero(np.diff(quiet.astype(np.int8)))
    silences = []
    for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        long_enough = (after - first) * _BIN_NS >= least_silence_s(timeout_s) * 1e9
        if long_enough and asked[first:after].sum() >= _LEAST_ASKED:
            span = (int(begin_ns + first * _BIN_NS), int(begin_ns + after * _BIN_NS))
            idle = not _busy(server, *span, cpu_limit_percent)
            silences.append(Silence(*span, lasts=after >= bins - 1, idle=idle, late_known=late_ns.size > 0))
    return silences


def _known(moments_ns: FloatArray, until_ns: float) -> FloatArray:
    return moments_ns[moments_ns < until_ns]  # NaN is not below anything


def _per_bin(moments_ns: FloatArray, begin_ns: float, bins: int) -> FloatArray:
    slots = ((moments_ns - begin_ns) // _BIN_NS).astype(np.int64)
    return np.bincount(slots[slots >= 0], minlength=bins).astype(np.float64)


def _busy(server: pd.DataFrame, begin_ns: int, end_ns: int, cpu_limit_percent: float | None) -> bool:
    # The reading of the first second still tells of the time before.
    inside = server[(server["t_ns"] > begin_ns + _BIN_NS) & (server["t_ns"] <= end_ns)]
    cpu = inside["cpu_percent"].dropna()
    throttled = inside["throttled_share"].dropna()
    # the thread that takes requests has one core at most, whatever the quota
    limit = 100.0 if cpu_limit_percent is None else min(100.0, cpu_limit_percent)
    return bool(
        (len(cpu) and cpu.median() > _BUSY_SHARE * limit) or (len(throttled) and throttled.median() > _BUSY_THROTTLED)
    )
