"""The stall ladder as it was answered: which rungs answered when, and which are dead."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.censored import BoolArray, FloatArray
from janusload.records import Rung

#: how a refusal reads, as in "audiobridge.exists: audiobridge error 485 NO_SUCH_ROOM: no such room": it came in
#: an answer. Older records lack the name.
_REFUSED = r" error -?\d+(?: \w+)?: "
#: how `TransactionTimeout` reads; other words (the handle is gone) say that the rung could not be asked
_SILENT = r"^$|no answer within"
_ON_A_HANDLE = (Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC, Rung.MEDIA)

#: so many questions in a row make a state: one lost answer is none (measurement.md section 5)
IN_A_ROW = 3


@dataclass(frozen=True)
class RungHistory:
    """One rung's questions in the order in which they were due; every array has shape (n,).

    Attributes:
        due_ns: when each was meant to be asked.
        answered_ns: when the answer came, NaN without one.
        alive: whether an answer came within the deadline, if only to refuse.
    """

    due_ns: NDArray[np.int64]
    answered_ns: FloatArray
    alive: BoolArray

    def since(self, moment_ns: float) -> RungHistory:
        rows = self.due_ns >= moment_ns
        return RungHistory(self.due_ns[rows], self.answered_ns[rows], self.alive[rows])

    def until(self, moment_ns: float) -> RungHistory:
        rows = self.due_ns < moment_ns
        return RungHistory(self.due_ns[rows], self.answered_ns[rows], self.alive[rows])

    @property
    def ends_dead(self) -> bool:
        """Whether none of the last three questions was answered."""
        return len(self.alive) >= IN_A_ROW and not self.alive[-IN_A_ROW:].any()

    @property
    def ends_alive(self) -> bool:
        """Whether the last three questions were all answered."""
        return len(self.alive) >= IN_A_ROW and bool(self.alive[-IN_A_ROW:].all())

    def first_streak(self, alive: bool) -> int | None:
        """Index of the first of three questions in a row that were all (not) answered; None without such."""
        same = self.alive == alive
        if len(same) < IN_A_ROW:
            return None
        runs = np.lib.stride_tricks.sliding_window_view(same, IN_A_ROW).all(axis=1)
        return int(np.argmax(runs)) if runs.any() else None

    def silences(self) -> list[tuple[int, int]]:
        """(first due, next answered due) of every three or more unanswered questions in a row; a silence that lasts
        to the end ends with its last question."""
        edges = np.flatnonzero(np.diff(np.concatenate(([True], self.alive, [True])).astype(np.int8)))
        spans = []
        for first, after in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if after - first >= IN_A_ROW:
                spans.append((int(self.due_ns[first]), int(self.due_ns[min(after, len(self.due_ns) - 1)])))
        return spans


def ladder_of(probe: pd.DataFrame, until_ns: float) -> dict[Rung, RungHistory]:
    """The rungs that were asked and that answered at least once.

    A rung that never answered (a plugin that is not there) tells nothing about a stall. `tcp` is an exception: it
    takes nothing but a listening process.

    Args:
        probe: the `probe` frame.
        until_ns: when the ladder was taken down; a question that had no time to be answered is left out.
    """
    histories: dict[Rung, RungHistory] = {}
    for rung in Rung:
        asked = probe[(probe["rung"] == rung) & (probe["due_ns"] < until_ns)].sort_values("due_ns", kind="stable")
        if asked.empty:
            continue
        due_ns = asked["due_ns"].to_numpy(np.int64)
        answered_ns = asked["answered_ns"].to_numpy(np.float64)
        deadline_ns = due_ns + asked["deadline_s"].to_numpy(np.float64) * 1e9
        ok = asked["ok"].to_numpy(np.bool_)
        # A refused connection is an answer of the kernel, not of Janus; any other answer shows that it is processed.
        detail = asked["detail"].astype(str)
        alive = ok | detail.str.contains(_REFUSED).to_numpy(np.bool_)
        if rung is not Rung.TCP:
            alive |= answered_ns <= deadline_ns
        decided = alive | (deadline_ns <= until_ns)
        if rung in _ON_A_HANDLE:
            decided &= alive | detail.str.contains(_SILENT).to_numpy(np.bool_)
        history = RungHistory(due_ns[decided], answered_ns[decided], alive[decided])
        if rung is Rung.TCP or history.alive.any():
            histories[rung] = history
    return histories
