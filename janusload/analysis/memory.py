"""What memory really did (measurement.md section 6): growth that matters, apart from page cache that only looks so.

Growth that matters is what the kernel cannot take back: anonymous memory, socket buffers, unreclaimable slab, kernel
stacks. Page cache rises to a limit and stays there, and is a fault only where dirty pages wait for a disk that is too
slow (reference: janus-facts, Appendix B4).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from janusload.analysis.readings import grown, last
from janusload.analysis.slopes import theil_sen
from janusload.summary import Memory, MemoryGrowth, MemoryState

_MB = 1e6
#: readings and seconds below which nothing is said about growth
_LEAST_READINGS = 20
_LEAST_S = 30.0
#: the part of the load that is left out at its beginning: joining, first buffers, caches that fill
_SETTLING = 0.3
#: growth over the looked-at time below which it is no growth: allocators round
_NOTHING_MB = 0.5
#: page cache waiting for the disk, as a share of the limit, from which writers are held up
_HELD_UP = 0.25
#: the same, as a share of what may wait in a control group of version 2
_HELD_UP_OF_DIRTY = 0.75
#: seconds in a row of that
_HELD_UP_S = 3.0
#: longest time between two readings of which both tell
_GAP_S = 2.0
#: anonymous memory of a control group beyond twice the process's own, from which others must live in it
_NEIGHBOURS_BYTES = 32e6
#: usage within this share of the limit is at the limit
_AT_LIMIT = 0.97


def memory_of(
    server: pd.DataFrame, storage: pd.DataFrame, span_ns: tuple[int, int] | None, *, climbs: bool = False
) -> Memory | None:
    """Sum up memory over the load; None where nothing was seen of it.

    Args:
        span_ns: when the load was on; None: all of the readings.
        climbs: whether the load was raised all the time: then growth says nothing.
    """
    readings = _without_neighbours(server.sort_values("t_ns", kind="stable").drop_duplicates("t_ns"))
    grouped = bool(readings["cgroup_anon_bytes"].notna().any())
    firm = _firm(readings, grouped=grouped)
    if not firm.notna().any():
        return None
    limit = last(readings["cgroup_limit_bytes"])
    waiting = readings["cgroup_dirty_bytes"].fillna(0) + readings["cgroup_writeback_bytes"].fillna(0)
    growth, per_hour, interval = (
        (MemoryGrowth.LOAD_CHANGED, None, None) if climbs else _growth(readings["t_ns"], firm, span_ns)
    )
    state = _state(readings, waiting, limit)
    settled = firm if span_ns is None else firm[readings["t_ns"].between(*span_ns)]
    free = last(readings["disk_free_bytes"])
    return Memory(
        source="control group" if grouped else "process",
        growth=growth,
        growth_mb_per_h=per_hour,
        growth_ci95_mb_per_h=interval,
        firm_first_mb=None if span_ns is None else _first_mb(firm[readings["t_ns"] < span_ns[0]]),
        firm_mb=_mb(settled.median()) if settled.notna().any() else _mb(firm.median()),
        firm_mb_max=_mb(firm.max()),
        file_mb_max=_mb_max(readings["cgroup_file_bytes"]),
        dirty_mb_max=_mb_max(readings["cgroup_dirty_bytes"]),
        writeback_mb_max=_mb_max(readings["cgroup_writeback_bytes"]),
        sock_mb_max=_mb_max(readings["cgroup_sock_bytes"]),
        slab_mb_max=_mb_max(readings["cgroup_slab_bytes"]),
        kernel_stack_mb_max=_mb_max(readings["cgroup_kernel_stack_bytes"]),
        kernel_mb=_unsplit_mb(readings, span_ns),
        limit_mb=None if limit is None else limit / _MB,
        limit_hits=grown(readings["limit_hits"]),
        oom_kills=grown(readings["oom_kills"]),
        state=state,
        state_words=_words(state, limit, waiting),
        written_mb=_written(readings, storage),
        write_mb_per_s=_write_rate(storage, span_ns),
        disk_free_mb=None if free is None else free / _MB,
        recordings_resident_mb_max=_mb_max(storage["resident_bytes"]),
    )


def _without_neighbours(readings: pd.DataFrame) -> pd.DataFrame:
    """The readings without those of a control group that limits nothing and plainly holds other processes too: what
    they do to it would be taken for the server's doing."""
    anon, own = readings["cgroup_anon_bytes"].median(), readings["anon_bytes"].median()
    if readings["cgroup_limit_bytes"].notna().any() or not anon > 2 * own + _NEIGHBOURS_BYTES:
        return readings
    return readings.assign(**{name: np.nan for name in readings.columns if name.startswith("cgroup_")})


def _firm(readings: pd.DataFrame, *, grouped: bool) -> pd.Series[float]:
    """What the kernel cannot take back, bytes."""
    if not grouped:
        return readings["anon_bytes"].fillna(readings["rss_bytes"])
    parts = ["cgroup_sock_bytes", "cgroup_slab_unreclaimable_bytes", "cgroup_kernel_stack_bytes"]
    return readings["cgroup_anon_bytes"] + readings[parts].fillna(0).sum(axis=1)


def _growth(
    t_ns: pd.Series[int], firm: pd.Series[float], span_ns: tuple[int, int] | None
) -> tuple[MemoryGrowth, float | None, tuple[float, float] | None]:
    begin, end = (int(t_ns.min()), int(t_ns.max())) if span_ns is None else span_ns
    settled = firm.notna() & (t_ns >= begin + _SETTLING * (end - begin)) & (t_ns <= end)
    hours = np.asarray(t_ns[settled], np.float64) / 3.6e12
    if settled.sum() < _LEAST_READINGS or (hours[-1] - hours[0]) * 3600 < _LEAST_S:
        return MemoryGrowth.TOO_SHORT, None, None
    slope = theil_sen(hours, np.asarray(firm[settled], np.float64) / _MB)
    if slope is None:
        return MemoryGrowth.TOO_SHORT, None, None
    grew = slope.low > 0 and slope.value * (hours[-1] - hours[0]) > _NOTHING_MB
    return (MemoryGrowth.GROWS if grew else MemoryGrowth.BOUNDED), slope.value, (slope.low, slope.high)


def _state(readings: pd.DataFrame, waiting: pd.Series[float], limit: float | None) -> MemoryState | None:
    """How close the page cache brought the server to standing still; None without a limit."""
    if limit is None:
        return None
    if (grown(readings["oom_kills"]) or 0) > 0:
        return MemoryState.OOM_KILLED
    may_wait = readings["cgroup_dirty_limit_bytes"]
    most = (_HELD_UP_OF_DIRTY * may_wait).where(may_wait > 0, _HELD_UP * limit)
    held = (waiting > most) & (readings["cgroup_writeback_bytes"].fillna(0) > 0)
    # of the time between two readings that both say so; of a gap without any nobody knows
    seconds = (readings["t_ns"].diff().fillna(0) / 1e9).clip(upper=_GAP_S)
    run = (held != held.shift()).cumsum()
    longest = seconds.where(held & held.shift(fill_value=False), 0).groupby(run).sum().max()
    if longest >= _HELD_UP_S:
        return MemoryState.WRITERS_HELD_UP
    usage = readings["cgroup_bytes"]
    return MemoryState.AT_LIMIT_HARMLESS if (usage > _AT_LIMIT * limit).any() else MemoryState.BELOW_LIMIT


def _words(state: MemoryState | None, limit: float | None, waiting: pd.Series[float]) -> str | None:
    if state is None or limit is None:
        return None
    most = f"{waiting.max() / _MB:.0f} of {limit / _MB:.0f} MB"
    return {
        MemoryState.BELOW_LIMIT: "Memory stayed below its limit.",
        MemoryState.AT_LIMIT_HARMLESS: "Memory reached its limit with page cache that the kernel could take back: "
        f"harmless ({most} at most waited for the disk).",
        MemoryState.WRITERS_HELD_UP: f"Page cache waited for a disk that was too slow ({most}): what writes stands "
        "still then, and with it the API.",
        MemoryState.OOM_KILLED: f"The kernel killed for memory ({most} waited for the disk).",
    }[state]


def _written(readings: pd.DataFrame, storage: pd.DataFrame) -> float | None:
    rise = grown(readings["written_bytes"])
    if rise is None and len(storage):
        rise = int(storage["file_bytes"].max() - storage["file_bytes"].min())
    return None if rise is None else rise / _MB


def _write_rate(storage: pd.DataFrame, span_ns: tuple[int, int] | None) -> float | None:
    """How fast the recordings grew while the load was on, MB/s."""
    rows = storage.sort_values("t_ns", kind="stable")
    if span_ns is not None:
        rows = rows[rows["t_ns"].between(*span_ns)]
    if len(rows) < 2 or rows["file_bytes"].max() == 0:
        return None
    seconds = (int(rows["t_ns"].iloc[-1]) - int(rows["t_ns"].iloc[0])) / 1e9
    # files that go away meanwhile were written all the same
    return (grown(rows["file_bytes"]) or 0) / _MB / seconds if seconds > 0 else None


def _first_mb(before: pd.Series[float]) -> float | None:
    known = before.dropna()
    return _mb(known.median()) if len(known) else None


def _unsplit_mb(readings: pd.DataFrame, span_ns: tuple[int, int] | None) -> float | None:
    """What the kernel keeps for the group, typically, where it does not say how much of that it could give back."""
    known = readings["cgroup_kernel_bytes"][readings["cgroup_kernel_stack_bytes"].isna()].dropna()
    settled = known if span_ns is None else known[readings["t_ns"].loc[known.index].between(*span_ns)]
    return _mb(settled.median()) if len(settled) else None


def _mb(value: float) -> float:
    return round(float(value) / _MB, 3)


def _mb_max(values: pd.Series[float]) -> float | None:
    known = values.dropna()
    return _mb(known.max()) if len(known) else None
