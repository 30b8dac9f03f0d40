"""Whether the generator kept up (measurement.md section 4), so that its numbers are the server's.

Only what the generator itself failed to do counts here. Under an overloaded server requests still leave on time, since
arrivals are open-loop: late *answers* are the server's, late or missing *requests* are ours.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from janusload.analysis.attempts import Attempts
from janusload.analysis.censored import BoolArray
from janusload.analysis.readings import most
from janusload.analysis.windows import Window
from janusload.records import Outcome
from janusload.summary import Generator

CPU_LIMIT_PERCENT = 90.0
LEAST_LAG_MS = 10.0
LAG_SHARE_OF_T = 0.01
PACING_LIMIT_MS = 10.0
STEAL_LIMIT_PERCENT = 10.0
DROPPED_LIMIT = 0.001
LEAST_ACHIEVED = 0.98

#: a limit counts as crossed if this share of a step's readings crosses it: a reading is a p99 of one second, and one
#: garbage collection in a minute moves no p99 of the step
_SHARE_OF_READINGS = 0.1
_LEAST_READINGS = 2
#: how far a Poisson stream's count may stray from its mean, in standard deviations, before arrivals are missing
_STRAY = 3.0


def limits(
    window: Window,
    attempts: Attempts,
    rows: BoolArray,
    health: pd.DataFrame,
    timeout_s: float,
    *,
    rate: bool,
    excused: int,
) -> list[str]:
    """Why a step's load was not what it should have been, in words; empty if it was.

    Args:
        attempts: the attempts under test; `rows` says which of them were due in the counted part of the step.
        health: the `health` frame.
        rate: whether the step's load is a rate of arrivals (else of participants).
        excused: how many of the step's arrivals were not written, or not seen through, for want of a connection:
            the server or the network may not be blamed on the generator.
    """
    return _health_limits(window, health, timeout_s) + _arrival_limits(window, attempts, rows, rate, excused)


def _health_limits(window: Window, health: pd.DataFrame, timeout_s: float) -> list[str]:
    lag_ms = max(LEAST_LAG_MS, LAG_SHARE_OF_T * 1000 * timeout_s)
    inside = health[(health["t_ns"] > window.settled_ns) & (health["t_ns"] <= window.end_ns)]
    reasons = []
    for process, readings in inside.groupby("process", observed=True):
        for column, limit, words in (
            ("cpu_percent", CPU_LIMIT_PERCENT, "{process} used {value:.0f} % of a core"),
            ("lag_p99_ms", lag_ms, "the event loop of {process} woke {value:.0f} ms late"),
            ("schedule_lag_p99_ms", lag_ms, "arrivals of {process} left {value:.0f} ms late"),
            ("pacing_p99_ms", PACING_LIMIT_MS, "audio packets of {process} left {value:.0f} ms late"),
            ("steal_percent", STEAL_LIMIT_PERCENT, "the host took {value:.0f} % of the cores from {process}"),
        ):
            values = readings[column].dropna().to_numpy(np.float64)
            if _crossed(values > limit):
                typical = float(np.median(values[values > limit]))
                reasons.append(words.format(process=process, value=typical) + f" (limit {limit:g})")
        exhausted = int(readings["exhausted"].sum())
        if exhausted:
            reasons.append(f"{process} ran out of open files, ports or buffers {exhausted} times")
    seen_before = set(health["process"][health["t_ns"] <= window.settled_ns].unique())
    if len(inside) and window.counted_s > 3:
        silent = sorted(seen_before - set(inside["process"].unique()))
        reasons += [f"{process} no longer reported" for process in silent]
    return reasons


def _crossed(beyond: BoolArray) -> bool:
    return int(beyond.sum()) >= _LEAST_READINGS and float(beyond.mean()) > _SHARE_OF_READINGS


def _arrival_limits(window: Window, attempts: Attempts, rows: BoolArray, rate: bool, excused: int) -> list[str]:
    due = int(rows.sum())
    if not due:
        return []
    reasons = []
    outcomes = attempts.outcomes(rows)
    dropped = outcomes.get(Outcome.DROPPED, 0)
    if dropped / due > DROPPED_LIMIT and not excused:
        reasons.append(f"{dropped} of {due} arrivals were dropped: no client could take them")
    if not rate:
        return reasons
    made = int((attempts.step == window.step).sum())
    if window.arrivals is not None and made < LEAST_ACHIEVED * window.arrivals:
        reasons.append(f"only {made} of {window.arrivals:.0f} arrivals were made")
    wanted = window.offered * window.counted_s
    if window.arrivals is None and due < LEAST_ACHIEVED * wanted - _STRAY * np.sqrt(wanted):
        reasons.append(f"only {due} of {wanted:.0f} arrivals were made")
    written = int((rows & attempts.written).sum())
    if written + excused < LEAST_ACHIEVED * due and not reasons:
        reasons.append(f"only {written} of {due} requests that were due were written")
    return reasons


#: words of a reason -> what helps
_ADVICE = (
    ("ran out of open files", "raise `ulimit -n` (`janusload doctor --scenario FILE` says to what)"),
    ("arrivals were dropped", "give the [stream] more connections"),
    ("audio packets", "give media more cores: fewer --processes, or workers on more machines"),
    ("no longer reported", "find out why that process ended; its part of the load is missing"),
    ("the host took", "use a machine of its own"),
    ("% of a core", "add processes (--processes 2) or machines (--master, --worker)"),
    ("ms late", "end what else runs on this machine, or add processes (--processes 2) or machines"),
    ("arrivals were made", "add processes (--processes 2) or machines (--master, --worker)"),
)


def advice(words: str) -> str:
    """What to add or change when the generator was the limit for these reasons; empty if nothing is known to help."""
    found = [helps for sign, helps in _ADVICE if sign in words]
    return found[0] if found else ""


def generator_of(health: pd.DataFrame, attempts: Attempts, reasons: list[str]) -> Generator:
    """The generator over the whole run.

    Args:
        reasons: why it was the limit in the steps that the onset rests on.
    """
    cpu = health.groupby("process", observed=True)["cpu_percent"].max()
    return Generator(
        valid=not reasons,
        reasons=reasons,
        cpu_percent_max={str(process): float(value) for process, value in cpu.items()},
        lag_p99_ms_max=most(health["lag_p99_ms"]),
        schedule_lag_p99_ms_max=most(health["schedule_lag_p99_ms"]),
        pacing_p99_ms_max=most(health["pacing_p99_ms"]),
        dropped=attempts.outcomes().get(Outcome.DROPPED, 0),
    )
