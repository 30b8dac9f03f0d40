"""Times in which a part of the generator was missing: what was measured then is not of the load that was asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from janusload.records import MarkerKind
from janusload.summary import Gap


class Missing(NamedTuple):
    """One process of the generator that was not there.

    Attributes:
        end_ns: None if it never came back.
        words: what happened to it.
    """

    process: str
    begin_ns: int
    end_ns: int | None
    words: str

    def within_s(self, begin_ns: int, end_ns: int) -> float:
        """How much of a span it was missing for."""
        last_ns = end_ns if self.end_ns is None else min(end_ns, self.end_ns)
        return max(0, last_ns - max(begin_ns, self.begin_ns)) / 1e9


def missing_of(marker: pd.DataFrame) -> list[Missing]:
    """From the `marker` frame, in the order of time."""
    ordered = marker.sort_values("t_ns", kind="stable")
    open_: dict[str, Missing] = {}
    found: list[Missing] = []
    for t_ns, kind, label, value in zip(
        *(ordered[name].tolist() for name in ("t_ns", "kind", "label", "value")), strict=True
    ):
        process, _, words = str(label).partition(" ")
        if kind == MarkerKind.GAP and process not in open_:
            since_s = 0.0 if np.isnan(value) else float(value)
            open_[process] = Missing(process, int(t_ns) - round(since_s * 1e9), None, words)
        elif kind == MarkerKind.GAP_END and process in open_:
            found.append(open_.pop(process)._replace(end_ns=int(t_ns)))
    return sorted([*found, *open_.values()], key=lambda gap: gap.begin_ns)


def gaps_of(missing: list[Missing], begin_ns: int) -> list[Gap]:
    """As the summary holds them.

    Args:
        begin_ns: t = 0 of the run.
    """
    return [
        Gap(
            process=gap.process,
            begin_s=(gap.begin_ns - begin_ns) / 1e9,
            end_s=None if gap.end_ns is None else (gap.end_ns - begin_ns) / 1e9,
            words=gap.words,
        )
        for gap in missing
    ]
