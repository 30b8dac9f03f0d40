"""The attempts of one request, as arrays: what became of each, and how long that took.

The definitions of measurement.md section 1, in one place: an attempt is *judged* if its frame was written and it is
known whether an answer came within T of the write; it *timed out* if none did. Attempts that were never written, lost
their connection or were cut by the end of the run are neither, and have rates of their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.censored import BoolArray, FloatArray
from janusload.records import Outcome, Source

_NS = 1e9
_NEEDED = ["due_ns", "sent_ns", "answered_ns", "timeout_s", "step", "outcome"]


@dataclass(frozen=True)
class Attempts:
    """All attempts of one request, in the order in which they ended; every array has shape (n,).

    Attributes:
        due_ns: when each was meant to be sent.
        sent_ns: when its frame was written, NaN if never.
        step: index of the load step in which it was due, -1 outside the steps.
        wait_s: latency from the due moment; for a timed-out attempt the time after which nobody waited any longer
            (its true latency is longer). Only meaningful where `judged`.
        limit_s: T of each.
        service_s: from the write to the answer, infinity where none came in time. Only meaningful where `judged`.
        judged: written, and answered or timed out.
        timed_out: judged, and no answer within T of the write.
        outcome: the recorded outcome of each.
        timeouts_s: every T that occurs, ascending; more than one cannot be put together.
    """

    due_ns: NDArray[np.int64]
    sent_ns: FloatArray
    step: NDArray[np.int32]
    wait_s: FloatArray
    limit_s: FloatArray
    service_s: FloatArray
    judged: BoolArray
    timed_out: BoolArray
    outcome: pd.Categorical
    timeouts_s: list[float]

    def __len__(self) -> int:
        return len(self.due_ns)

    @property
    def written(self) -> BoolArray:
        return np.asarray(~np.isnan(self.sent_ns))

    def outcomes(self, rows: BoolArray | None = None) -> dict[str, int]:
        """How many attempts (of those rows) ended in which way; ways that did not occur are absent."""
        codes = np.asarray(self.outcome.codes)
        counts = np.bincount(codes if rows is None else codes[rows], minlength=len(self.outcome.categories))
        return {str(name): int(n) for name, n in zip(self.outcome.categories, counts, strict=True) if n}


def attempts_of(request: pd.DataFrame, name: str, source: Source | None = None) -> Attempts:
    """The attempts of the request called `name`, of one source or of all but the ladder.

    Args:
        request: the `request` frame of `frames.read_frames`.
    """
    rows = is_any(request["name"], {name})
    if source is not None:
        rows &= is_any(request["source"], {source})
    else:
        rows &= ~is_any(request["source"], {Source.PROBES})
    chosen = request if rows.all() else request.loc[rows, _NEEDED]
    due_ns = chosen["due_ns"].to_numpy(np.int64)
    sent_ns = chosen["sent_ns"].to_numpy(np.float64)
    limit_s = chosen["timeout_s"].to_numpy(np.float64)
    service_s = (chosen["answered_ns"].to_numpy(np.float64) - sent_ns) / _NS
    written = ~np.isnan(sent_ns)
    answered = written & is_any(chosen["outcome"], {Outcome.OK, Outcome.API_ERROR}) & ~np.isnan(service_s)
    # An answer that overtook its own timer by a hair is late all the same: the definition decides, not the timer.
    timed_out = written & is_any(chosen["outcome"], {Outcome.API_TIMEOUT})
    timed_out |= answered & (service_s > limit_s)
    service_s[timed_out | ~answered] = np.inf
    wait_s = (sent_ns - due_ns) / _NS + np.where(timed_out, limit_s, service_s)
    return Attempts(
        due_ns=due_ns,
        sent_ns=sent_ns,
        step=chosen["step"].to_numpy(np.int32),
        wait_s=wait_s,
        limit_s=limit_s,
        service_s=service_s,
        judged=answered | timed_out,
        timed_out=timed_out,
        outcome=pd.Categorical(chosen["outcome"]),
        timeouts_s=sorted({float(value) for value in np.unique(limit_s)}),
    )


def under_test(request: pd.DataFrame, name: str) -> Attempts:
    """The attempts that the onset is about: the open-loop stream's where there is one, else the users'."""
    arrivals = attempts_of(request, name, Source.ARRIVALS)
    return arrivals if len(arrivals) else attempts_of(request, name, Source.USERS)


def is_any(column: pd.Series[str], words: set[str] | set[Outcome] | set[Source]) -> BoolArray:
    """Which entries of a categorical column are one of `words`; compares each word once, not each row."""
    wanted = np.array([str(category) in {str(word) for word in words} for category in column.cat.categories] + [False])
    return np.asarray(wanted[column.cat.codes.to_numpy()])
