"""What was seen of the server in a span of time, as `verdict.judge` wants it; and the stalls that were named live."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

import pandas as pd

from janusload.records import MarkerKind, Rung, ServerRecord, ThreadRecord
from janusload.summary import FailureKind
from janusload.verdict import Window

#: when a run saw several, the worst names it; what is not listed is worse than all
_RANK = (
    FailureKind.CPU_STARVED,
    FailureKind.PLUGIN_STUCK,
    FailureKind.THREADS,
    FailureKind.CORE_STUCK,
    FailureKind.UNREACHABLE,
    FailureKind.PROCESS_FROZEN,
)


def readings_of(server: pd.DataFrame, begin_ns: float, end_ns: float) -> list[ServerRecord]:
    """The readings of a span, oldest first."""
    chosen = server[(server["t_ns"] >= begin_ns) & (server["t_ns"] <= end_ns)].sort_values("t_ns", kind="stable")
    rows = chosen[list(ServerRecord._fields)].astype(object).to_numpy().tolist()
    return [ServerRecord._make(None if value != value else value for value in row) for row in rows]


def threads_of(thread: pd.DataFrame, begin_ns: float, end_ns: float) -> list[list[ThreadRecord]]:
    """The groups of threads at every moment of a span."""
    chosen = thread[(thread["t_ns"] >= begin_ns) & (thread["t_ns"] <= end_ns)]
    moments: dict[int, list[ThreadRecord]] = {}
    for row in chosen[list(ThreadRecord._fields)].astype(object).to_numpy().tolist():
        moments.setdefault(row[0], []).append(ThreadRecord(*row))
    return [moments[moment] for moment in sorted(moments)]


def lines_of(log: pd.DataFrame, begin_ns: float, end_ns: float) -> dict[str, int]:
    """Lines of the log in a span, by category."""
    chosen = log[(log["t_ns"] >= begin_ns) & (log["t_ns"] <= end_ns)]
    counts = chosen.groupby("category", observed=True)["lines"].sum()
    return {str(category): int(count) for category, count in counts.items()}


def window_of(
    server: pd.DataFrame,
    thread: pd.DataFrame,
    log: pd.DataFrame,
    span_ns: tuple[float, float],
    *,
    silent: Iterable[Rung] = (),
    answering: Iterable[Rung] = (),
    loaded: bool = False,
    signal: int | None = None,
) -> Window:
    """All that is known of a span."""
    begin_ns, end_ns = span_ns
    spoke = bool(lines_of(log, begin_ns - 10e9, begin_ns + _LOG_LAG_NS))
    return Window(
        frozenset(silent),
        frozenset(answering),
        readings_of(server, *span_ns),
        threads_of(thread, *span_ns),
        lines_of(log, *span_ns),
        loaded,
        signal,
        spoke and not lines_of(log, begin_ns + _LOG_LAG_NS, end_ns),
    )


#: a line is counted up to a second after it was written
_LOG_LAG_NS = 1_200_000_000


class Named(NamedTuple):
    """A stall that was named while it lasted.

    Attributes:
        since_ns: its first sign; `found_ns` is when it was named, by whatever word.
        lasted_s: None if it was not over by the end.
    """

    kind: FailureKind
    rule: str
    plugin: str | None
    since_ns: float
    found_ns: int
    lasted_s: float | None


#: signs that are closer together are of one beginning
_SAME_SIGN_NS = 500_000_000


def named_live(marker: pd.DataFrame, until_ns: float) -> Named | None:
    """The worst stall that the run's markers tell of; the first of equals.

    One that was called something else before it was over is what it was called last: more was known then.
    """
    ordered = marker[marker["t_ns"] < until_ns].sort_values("t_ns", kind="stable")
    ends = ordered[ordered["kind"] == MarkerKind.STALL_END]
    found: list[Named] = []
    begins = ordered[ordered["kind"] == MarkerKind.STALL]
    for t_ns, label, after_s in zip(
        begins["t_ns"].tolist(), begins["label"].astype(str), begins["value"].fillna(0.0).tolist(), strict=True
    ):
        kind, _, rule = label.partition(": ")
        if kind not in set(FailureKind) or not rule:
            continue
        after = ends["t_ns"][ends["t_ns"] >= t_ns]
        since_ns = float(t_ns) - after_s * 1e9
        lasted_s = None if after.empty else (float(after.iloc[0]) - since_ns) / 1e9
        plugin = re.search(r"libjanus_(\w+)\.so", rule)
        name = plugin[1] if plugin else "audiobridge" if kind == FailureKind.PLUGIN_STUCK else None
        now = Named(FailureKind(kind), rule, name, since_ns, t_ns, lasted_s)
        if found and not ends["t_ns"].between(found[-1].found_ns, t_ns).any():
            before = found.pop()
            # another word for the same is no later detection
            if abs(before.since_ns - since_ns) < _SAME_SIGN_NS:
                now = now._replace(found_ns=before.found_ns)
        found.append(now)
    return max(found, key=lambda each: _RANK.index(each.kind) if each.kind in _RANK else len(_RANK), default=None)
