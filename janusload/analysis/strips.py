"""What else happened along the time axis: what people heard, the log, the generator's health, the recordings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.frames import Frames
from janusload.analysis.media import in_order
from janusload.analysis.timeline import Axis, carried
from janusload.log_categories import CURVES, HARMLESS

#: categories of log lines that get a row of their own; the others are put together
_MOST_CATEGORIES = 6
_OTHER = "other"
#: errors that are added up to a row of their own, whatever their number
_FAMILIES = ("SRTP/SRTCP", "ICE", "DTLS")

#: of these a run that has none has a zero
_NOTHING_AT_ZERO = {"recordings_mb", "recordings_cached_mb"}

Known = list[float | None]


def strips_of(axis: Axis, frames: Frames) -> dict[str, Known]:
    """One value per bin, under the names that `summary.Timeline.strips` lists; what was not recorded is absent."""
    found = [*_media(axis, frames), *_generator(axis, frames["health"]), *_storage(axis, frames["storage"])]
    return {
        name: carried(axis, values)
        for name, values in found
        if any(values if name in _NOTHING_AT_ZERO else (value is not None for value in values))
    }


def log_of_time(axis: Axis, log: pd.DataFrame) -> dict[str, list[int]]:
    """Lines per bin: SRTP/SRTCP, ICE and DTLS errors, then other categories that matter, then the harmless rest."""
    if log.empty:
        return {}
    category = log["category"].astype(str)
    curve = category.map({str(each): f"{name} errors" for name in _FAMILIES for each in CURVES[name]})
    name = curve.where(curve.notna(), category.where(~category.isin({str(each) for each in HARMLESS}), _OTHER))
    slots = axis.slots(log["t_ns"].to_numpy(np.int64))
    lines = log["lines"].to_numpy(np.float64)
    totals = log["lines"].groupby(name.to_numpy()).sum().sort_values(ascending=False)
    own = [f"{family} errors" for family in _FAMILIES if f"{family} errors" in totals.index]
    rest = [str(each) for each in totals.index if each not in own and each != _OTHER]
    name = name.where(name.isin([*own, *rest[:_MOST_CATEGORIES]]), _OTHER)
    found = {}
    for row in [*own, *rest[:_MOST_CATEGORIES], _OTHER]:
        rows = (name == row).to_numpy() & (slots >= 0)
        counts = np.bincount(slots[rows], weights=lines[rows], minlength=axis.bins)
        if counts.any():
            found[row] = [int(count) for count in counts]
    return found


def _media(axis: Axis, frames: Frames) -> Iterator[tuple[str, Known]]:
    media = frames["media"]
    if not media.empty:
        reports = in_order(media)
        same = reports["life"].eq(reports["life"].shift())
        slots = axis.slots(reports["t_ns"].to_numpy(np.int64))
        lost, received = (
            reports[name].diff().where(same, 0).clip(lower=0).to_numpy(np.float64) for name in ("lost", "received")
        )
        yield "loss", _ratio(axis, slots, lost, lost + received)
        connected = (reports["state"] == "connected").to_numpy()
        yield "jitter_ms", _high(axis, np.where(connected, slots, -1), reports["jitter_ms"])
        yield "mos", _low(axis, slots, reports["mos"])
    heard = frames["heard"]
    if not heard.empty:
        slots = axis.slots(heard["t_ns"].to_numpy(np.int64))
        yield "mouth_to_ear_ms", _high(axis, slots, heard["delay_ms"])
        expected = heard["expected"].to_numpy(np.float64)
        missed = expected * (1.0 - heard["heard"].to_numpy(np.float64))
        yield "not_heard", _ratio(axis, slots, missed, expected)


def _generator(axis: Axis, health: pd.DataFrame) -> Iterator[tuple[str, Known]]:
    slots = axis.slots(health["t_ns"].to_numpy(np.int64))
    for name, column in (
        ("generator_cpu_percent", "cpu_percent"),
        ("generator_lag_ms", "lag_p99_ms"),
        ("schedule_lag_ms", "schedule_lag_p99_ms"),
        ("pacing_ms", "pacing_p99_ms"),
    ):
        yield name, _most(axis, slots, health[column])


def _storage(axis: Axis, storage: pd.DataFrame) -> Iterator[tuple[str, Known]]:
    slots = axis.slots(storage["t_ns"].to_numpy(np.int64))
    yield "recordings_mb", _most(axis, slots, storage["file_bytes"], 1e-6)
    yield "recordings_cached_mb", _most(axis, slots, storage["resident_bytes"], 1e-6)


def _ratio(axis: Axis, slots: NDArray[np.int64], part: Any, whole: Any) -> Known:
    rows = slots >= 0
    parts, wholes = (np.bincount(slots[rows], weights=each[rows], minlength=axis.bins) for each in (part, whole))
    return [float(p / w) if w else None for p, w in zip(parts, wholes, strict=True)]


def _most(axis: Axis, slots: NDArray[np.int64], values: pd.Series[float], scale: float = 1.0) -> Known:
    return _grouped(axis, slots, values, 1.0, scale)


def _high(axis: Axis, slots: NDArray[np.int64], values: pd.Series[float]) -> Known:
    """What 95 of 100 values of each bin do not exceed."""
    return _grouped(axis, slots, values, 0.95)


def _low(axis: Axis, slots: NDArray[np.int64], values: pd.Series[float]) -> Known:
    """What 95 of 100 values of each bin reach."""
    return _grouped(axis, slots, values, 0.05)


def _grouped(
    axis: Axis, slots: NDArray[np.int64], values: pd.Series[float], quantile: float, scale: float = 1.0
) -> Known:
    """One order statistic of the known values of each bin, by sorting all bins at once."""
    known = (slots >= 0) & values.notna().to_numpy()
    found: Known = [None] * axis.bins
    if not known.any():
        return found
    numbers, at = values.to_numpy(np.float64)[known], slots[known]
    order = np.lexsort((numbers, at))
    numbers, at = numbers[order], at[order]
    firsts = np.flatnonzero(np.diff(at, prepend=-1))
    sizes = np.diff(np.append(firsts, len(at)))
    chosen = firsts + np.minimum(sizes - 1, np.floor(quantile * sizes).astype(np.int64))
    for slot, value in zip(at[firsts].tolist(), numbers[chosen].tolist(), strict=True):
        found[slot] = value * scale
    return found
