"""Whether a run kept its limits: `janus.create p95 < 500 ms`, over the whole run or in every window of it.

A limit that cannot be judged (too few attempts, nothing measured, a value of which only a bound is known) is neither
kept nor crossed: it says so, and the run cannot pass on it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from janusload.analysis.attempts import Attempts, under_test
from janusload.analysis.censored import BoolArray, km_quantiles
from janusload.records import Outcome
from janusload.scenario.limits import Limit, limit
from janusload.summary import FailureKind, MemoryGrowth, OnsetStatus, Quantile, Quantiles, Summary, Threshold

#: fewer attempts than this say nothing about a rate
_LEAST = 20

_BYTES_PER_MB = 1e6


class _Value(NamedTuple):
    """What was measured, in the unit of the limit; with `at_least` only a lower bound of it is known."""

    value: float
    at_least: bool = False


#: how a run ends that a limit ended; the limit and its value follow
ENDED_BY = "limit crossed: "


def thresholds_of(texts: Sequence[str], summary: Summary, request: pd.DataFrame, end: str = "") -> list[Threshold]:
    """Judge every limit.

    Args:
        summary: of the same run, without limits.
        request: the `request` frame of `frames.read_frames`.
        end: how the run ended; a limit that ended it was crossed, wherever windows are cut afterwards.
    """
    found = []
    for text in texts:
        wanted = limit(text)
        measured = _measured(wanted, summary, request)
        name, _, bound = wanted.text.rpartition(_operator(wanted))
        where = "" if wanted.over_s is None else f" (the worst {wanted.over_s:g} s)"
        passed = _holds(wanted, measured)
        if end.startswith(f"{ENDED_BY}{wanted.text}: "):
            found.append(
                Threshold(
                    name=name.strip(),
                    limit=f"{wanted.op} {bound.strip()}",
                    value=f"{end.removeprefix(f'{ENDED_BY}{wanted.text}: ')} (the run ended by it)",
                    passed=False,
                )
            )
            continue
        found.append(
            Threshold(
                name=name.strip(),
                limit=f"{wanted.op} {bound.strip()}",
                value="not measured" if measured is None else _words(wanted, measured) + where,
                passed=passed is True,
                judged=passed is not None,
            )
        )
    return found


def _operator(wanted: Limit) -> str:
    return f" {wanted.op} " if f" {wanted.op} " in wanted.text else wanted.op


def _holds(wanted: Limit, measured: _Value | None) -> bool | None:
    """Whether it holds; None if that cannot be told."""
    if measured is None:
        return None
    holds = wanted.holds(measured.value)
    # the true value lies above the bound: a limit from above that holds for the bound need not hold for the value
    return None if measured.at_least and holds == wanted.upper else holds


def _measured(wanted: Limit, summary: Summary, request: pd.DataFrame) -> _Value | None:
    if wanted.kind in ("latency", "rate", "count"):
        attempts = under_test(request, wanted.request or summary.onset.request)
        if wanted.kind == "count":
            return _Value(float(len(attempts)))
        judge = _latency if wanted.kind == "latency" else _rate
        return _worst(wanted, [judge(wanted, attempts, rows) for rows in _windows(wanted, attempts)])
    value = _OF_SUMMARY[wanted.kind](wanted, summary)
    return _Value(float(value)) if isinstance(value, int | float) else value


def _worst(wanted: Limit, values: Sequence[_Value | None]) -> _Value | None:
    known = [value for value in values if value is not None]
    if not known:
        return None
    return max(known) if wanted.upper else min(known)


def _windows(wanted: Limit, attempts: Attempts) -> Iterator[BoolArray]:
    """Which attempts each window holds; all of them are one window where the limit is about the whole run."""
    if not len(attempts):
        return
    if wanted.over_s is None:
        yield np.ones(len(attempts), np.bool_)
        return
    number = (attempts.due_ns - attempts.due_ns.min()) // round(wanted.over_s * 1e9)
    for window in np.unique(number):
        yield number == window


def _latency(wanted: Limit, attempts: Attempts, rows: BoolArray) -> _Value | None:
    quantile = int(wanted.quantile[1:]) / 100
    judged = rows & attempts.judged
    if judged.sum() < math.ceil(1 / (1 - quantile) - 1e-9):
        return None
    timeout_s = attempts.timeouts_s[0] if len(attempts.timeouts_s) == 1 else None
    found = km_quantiles(attempts.wait_s[judged], ~attempts.timed_out[judged], (quantile,), timeout_s)
    return None if found is None else _Value(found[0].value * 1000, found[0].at_least)


def _rate(wanted: Limit, attempts: Attempts, rows: BoolArray) -> _Value | None:
    outcomes = attempts.outcomes(rows)
    total = sum(outcomes.values()) - outcomes.get(Outcome.CUT, 0)
    if wanted.outcome == "timeout":
        judged = int((rows & attempts.judged).sum())
        return _Value(int((rows & attempts.timed_out).sum()) / judged) if judged >= _LEAST else None
    if total < _LEAST:
        return None
    if wanted.outcome == "error":
        return _Value(outcomes.get(Outcome.API_ERROR, 0) / total)
    return _Value(1 - outcomes.get(Outcome.OK, 0) / total)


# -- what the summary says already ------------------------------------------------------------------------------------


def _onset_load(wanted: Limit, summary: Summary) -> _Value | None:
    onset = summary.onset
    good, bad = onset.load_bracket or (None, None)
    if onset.status in (OnsetStatus.FROM_START, OnsetStatus.LOWER_UNPROVEN):
        # nothing below was asked for, or what was proves nothing: it lies at or below this load
        return None if bad is None or wanted.holds(bad) else _Value(bad)
    if onset.load is not None:
        return _Value(onset.load)
    return None if good is None else _Value(good, at_least=True)


def _onset_latency(wanted: Limit, summary: Summary) -> _Value | None:
    return _quantile(summary.onset.latency_ms, wanted.quantile or "p95")


def _media_loss(_: Limit, summary: Summary) -> float | None:
    return summary.media.loss if summary.media is not None else None


def _media_ms(wanted: Limit, summary: Summary) -> _Value | None:
    found = getattr(summary.media, f"{wanted.what}_ms", None)
    return _quantile(found, wanted.quantile)


def _quantile(found: Quantiles | None, name: str) -> _Value | None:
    quantile: Quantile | None = getattr(found, name, None)
    return None if quantile is None else _Value(quantile.value, quantile.at_least)


def _media_mos(_: Limit, summary: Summary) -> float | None:
    mos = summary.media.mos if summary.media is not None else None
    return mos if isinstance(mos, float) else None


def _media_count(wanted: Limit, summary: Summary) -> float | None:
    return getattr(summary.media, wanted.what, None)


def _recovery(_: Limit, summary: Summary) -> float | None:
    failure = summary.failure
    if failure.recovered_after_s is not None:
        return failure.recovered_after_s
    if failure.kind is FailureKind.NONE:
        return 0.0  # nothing had to recover
    return math.inf if failure.recovery_leg and failure.kind is not FailureKind.GENERATOR_LIMITED else None


def _cpu(_: Limit, summary: Summary) -> float | None:
    percent = summary.server.cpu_percent_max if summary.server is not None else None
    return None if percent is None else percent / 100


def _memory(_: Limit, summary: Summary) -> float | None:
    most = summary.server.rss_mb_max if summary.server is not None else None
    return None if most is None else most * _BYTES_PER_MB


def _memory_growth(_: Limit, summary: Summary) -> float | None:
    """MB/h; nothing where no growth is credible."""
    memory = summary.memory
    if memory is None or memory.growth in (MemoryGrowth.TOO_SHORT, MemoryGrowth.LOAD_CHANGED):
        return None
    return memory.growth_mb_per_h if memory.growth is MemoryGrowth.GROWS else 0.0


def _recordings_damaged(_: Limit, summary: Summary) -> float | None:
    found = summary.recordings
    return None if found is None else sum(found.states.values()) - found.whole


def _recordings_missing(_: Limit, summary: Summary) -> float | None:
    """Without what the senders withheld to play a loss or sent while muted, where that is known."""
    found = summary.recordings
    if found is None or not found.packets or found.missing is None:
        return None
    explained, cut = (found.withheld or 0) + (found.muted or 0), found.cut or 0
    return (found.missing - explained + cut) / (found.packets + found.missing + cut)


_OF_SUMMARY: dict[str, Callable[[Limit, Summary], _Value | float | None]] = {
    "onset_load": _onset_load,
    "onset_latency": _onset_latency,
    "media_loss": _media_loss,
    "media_ms": _media_ms,
    "media_mos": _media_mos,
    "media_failed": _media_count,
    "participants": lambda _, summary: summary.media.participants if summary.media is not None else 0,
    "recovery": _recovery,
    "leaks": lambda wanted, summary: getattr(summary.leaks, wanted.what),
    "server_cpu": _cpu,
    "server_memory": _memory,
    "memory_growth": _memory_growth,
    "recordings_damaged": _recordings_damaged,
    "recordings_missing": _recordings_missing,
}


def _words(wanted: Limit, measured: _Value) -> str:
    value, at_least = measured
    if math.isinf(value):
        return "never"
    match wanted.kind:
        case "latency" | "onset_latency" | "media_ms":
            text = f"{value:.4g} ms" if value < 1000 else f"{value / 1000:.4g} s"
        case "rate" | "media_loss" | "server_cpu" | "recordings_missing":
            text = f"{value * 100:.3g} %"
        case "server_memory":
            text = f"{value / _BYTES_PER_MB:.4g} MB"
        case "memory_growth":
            text = f"{value:.4g} MB/h"
        case "recovery":
            text = f"{value:.3g} s"
        case "onset_load":
            text = f"{value:.4g}/s" if "/" in wanted.text else f"{value:.4g}"
        case _:
            text = f"{value:.4g}"
    return f"at least {text}" if at_least else text
