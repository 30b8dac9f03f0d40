"""Whether the generator kept up (measurement.md section 4), so that its numbers are the server's.

Only what the generator itself failed to do counts here. Under an overloaded server requests still leave on time, since
arrivals are open-loop: late *answers* are the server's, late or missing *requests* are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from janusload.analysis.attempts import Attempts
from janusload.analysis.censored import BoolArray
from janusload.analysis.gaps import Missing
from janusload.analysis.media import Flow
from janusload.analysis.readings import most
from janusload.analysis.windows import Window
from janusload.records import LIFE, PACING_LIMIT_MS, Outcome, Source
from janusload.summary import Generator

CPU_LIMIT_PERCENT = 90.0
LEAST_LAG_MS = 10.0
LAG_SHARE_OF_T = 0.01
PACING_LIMIT = 0.01
STEAL_LIMIT_PERCENT = 10.0
DROPPED_LIMIT = 0.001
LEAST_ACHIEVED = 0.98
#: of the audio packets that participants are sent, thrown away by this machine
UDP_DROPS_LIMIT = 0.001
_PACKETS_PER_S = 50

#: a limit counts as crossed if this share of a step's readings crosses it: a reading is a p99 of one second, and one
#: garbage collection in a minute moves no p99 of the step
_SHARE_OF_READINGS = 0.1
_LEAST_READINGS = 2
_LEAST_SPAN_NS = 5_000_000_000
#: how far a Poisson stream's count may stray from its mean, in standard deviations, before arrivals are missing
_STRAY = 3.0


@dataclass(frozen=True)
class Surroundings:
    """What else was recorded while the load was on.

    Attributes:
        health, server: frames of `frames.read_frames`.
        connects: the attempts to open a connection for the requests under test.
        flow: the participants; None without media.
        missing: processes of the generator that were not there.
    """

    health: pd.DataFrame
    server: pd.DataFrame
    connects: Attempts
    flow: Flow | None
    missing: list[Missing]


def limits(
    window: Window,
    attempts: Attempts,
    rows: BoolArray,
    around: Surroundings,
    timeout_s: float,
    *,
    rate: bool,
    excused: int,
) -> list[str]:
    """Why a step's load was not what it should have been, in words; empty if it was.

    Args:
        attempts: the attempts under test; `rows` says which of them were due in the counted part of the step.
        rate: whether the step's load is a rate of arrivals (else of participants).
        excused: how many of the step's arrivals were not written, or not seen through, for want of a connection:
            the server or the network may not be blamed on the generator.
    """
    reasons = keeping_up(window, around, timeout_s)
    reasons += _arrival_limits(window, attempts, rows, rate, excused)
    counted = in_flight(window.settled_ns, window.end_ns, attempts, around.health)
    if counted is not None and not counted.agree:
        reasons.append(
            f"{counted.counted:.0f} attempts were in flight, and rate times latency says {counted.by_law:.0f}: "
            "the accounting is wrong"
        )
    return reasons


def keeping_up(window: Window, around: Surroundings, timeout_s: float) -> list[str]:
    """Why the processes of the generator did not keep up in a span, whatever they were to send."""
    return _missing(window, around.missing) + _health_limits(window, around, timeout_s)


def _missing(window: Window, missing: list[Missing]) -> list[str]:
    """From the step's beginning, settling time included: what was not sent then is not there later."""
    return [
        f"{gap.process} was missing for {gap.within_s(window.begin_ns, window.end_ns):.1f} s of it: it {gap.words}"
        for gap in missing
        if gap.within_s(window.begin_ns, window.end_ns) > 0
    ]


def _health_limits(window: Window, around: Surroundings, timeout_s: float) -> list[str]:
    lag_ms = max(LEAST_LAG_MS, LAG_SHARE_OF_T * 1000 * timeout_s)
    health = around.health
    # a bin of a ramp or a soak may be shorter than a reading: then those around it tell
    short_ns = max(0.0, _LEAST_SPAN_NS - (window.end_ns - window.settled_ns)) / 2
    begin_ns, end_ns = window.settled_ns - short_ns, window.end_ns + short_ns
    inside = health[(health["t_ns"] > begin_ns) & (health["t_ns"] <= end_ns)]
    reasons = []
    for process, readings in inside.groupby("process", observed=True):
        for column, limit, words in (
            ("cpu_percent", CPU_LIMIT_PERCENT, "{process} used {value:.0f} % of a core"),
            ("lag_p99_ms", lag_ms, "the event loop of {process} woke {value:.0f} ms late"),
            ("schedule_lag_p99_ms", lag_ms, "arrivals of {process} left {value:.0f} ms late"),
            *(_PACING_OF_READINGS if readings["pacing_due"].isna().all() else ()),
        ):
            values = readings[column].dropna().to_numpy(np.float64)
            if _crossed(values > limit):
                typical = float(np.median(values[values > limit]))
                reasons.append(words.format(process=process, value=typical) + f" (limit {limit:g})")
        # what adds up is judged by its sum: a host that pauses this machine for 14 ms in each second spoils the worst
        # moment of every reading, and not one packet in a hundred
        paced, late = readings["pacing_due"].sum(), readings["pacing_late"].sum()
        if late > PACING_LIMIT * paced:
            reasons.append(
                f"{100 * late / paced:.1f} % of the audio packets of {process} left more than {PACING_LIMIT_MS:g} ms "
                f"late (limit {100 * PACING_LIMIT:g})"
            )
        taken = readings["steal_percent"].mean()
        if taken > STEAL_LIMIT_PERCENT:
            reasons.append(f"the host took {taken:.0f} % of the cores from {process} (limit {STEAL_LIMIT_PERCENT:g})")
        exhausted = int(readings["exhausted"].sum())
        if exhausted:
            reasons.append(f"{process} ran out of open files, ports or buffers {exhausted} times")
    people = around.flow.during(window.settled_ns, window.end_ns) if around.flow is not None else 0
    # every process of a machine reads the same counter
    thrown = int(inside.groupby("process", observed=True)["udp_drops"].sum().max()) if len(inside) else 0
    packets = people * _PACKETS_PER_S * window.counted_s
    if thrown > UDP_DROPS_LIMIT * packets and people:
        reasons.append(f"this machine threw away {thrown} datagrams, of about {packets:,.0f} packets of audio")
    seen_before = set(health["process"][health["t_ns"] <= window.settled_ns].unique())
    if len(inside) and window.counted_s > 3:
        # of those that the run itself missed, it says more
        said = {gap.process for gap in around.missing}
        silent = sorted(
            process
            for process in seen_before - set(inside["process"].unique())
            if process.partition("/")[0] not in said
        )
        reasons += [f"{process} no longer reported" for process in silent]
    return reasons


#: where only the percentile of each second was recorded
_PACING_OF_READINGS = (("pacing_p99_ms", PACING_LIMIT_MS, "audio packets of {process} left {value:.0f} ms late"),)


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


class InFlight(NamedTuple):
    """Attempts that waited for their answer, on average over a span.

    Attributes:
        counted: as the generator counted them while it ran, once a second.
        by_law: as rate times latency of the records says (J. D. C. Little, Operations Research 9, 1961).
        stray: by how much `counted` may be off because it is a sample.
    """

    counted: float
    by_law: float
    stray: float

    @property
    def agree(self) -> bool:
        return abs(self.counted - self.by_law) <= max(_FEW, _LITTLE_SHARE * self.by_law, self.stray)


#: a difference of so few, or of such a share, is no sign of a wrong account
_FEW = 3.0
_LITTLE_SHARE = 0.2


def in_flight(begin_ns: int, end_ns: int, attempts: Attempts, health: pd.DataFrame) -> InFlight | None:
    """What a span says of Little's law; None where it was not counted, or of some attempts the end is not known."""
    inside = health[(health["t_ns"] > begin_ns) & (health["t_ns"] <= end_ns) & health["pending"].notna()]
    if len(inside) < _LEAST_READINGS:
        return None
    most_s = max(attempts.timeouts_s, default=0.0)
    near = attempts.written & (attempts.sent_ns >= begin_ns - most_s * 1e9) & (attempts.sent_ns < end_ns)
    if not attempts.judged[near].all():
        return None
    by_process = inside.groupby("process", observed=True)["pending"]
    stray = _STRAY * float(np.sqrt((by_process.var(ddof=0) / by_process.count()).sum()))
    sent_ns = attempts.sent_ns[near]
    held_s = np.where(attempts.timed_out[near], attempts.limit_s[near], attempts.service_s[near])
    overlap_ns = np.minimum(sent_ns + held_s * 1e9, end_ns) - np.maximum(sent_ns, begin_ns)
    by_law = float(np.maximum(overlap_ns, 0.0).sum()) / max(1, end_ns - begin_ns)
    return InFlight(float(by_process.mean().sum()), by_law, stray)


def dropped_lives(request: pd.DataFrame) -> tuple[int, int]:
    """Lives of a churn that nobody was free for, of how many: each other life opens a connection."""
    if not (request["name"] == LIFE).any():
        return 0, 0
    dropped = int((request["name"] == LIFE).sum())
    begun = int(((request["name"] == "ws.connect") & (request["source"] == Source.USERS)).sum())
    return dropped, dropped + begun


#: words of a reason -> what helps
_ADVICE = (
    ("ran out of open files", "raise `ulimit -n` (`janusload doctor --scenario FILE` says to what)"),
    ("lives were dropped", "give the churn more users"),
    ("was missing for", "find out why that process ended or was held up; its part of the load is missing"),
    ("threw away", "let receive buffers be larger (sysctl net.core.rmem_max), or give media more cores"),
    ("accounting is wrong", "this is a fault of janusload: please report it"),
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


def generator_of(health: pd.DataFrame, attempts: Attempts, reasons: list[str], **known: Any) -> Generator:
    """The generator over the whole run.

    Args:
        reasons: why it was the limit in the steps that the onset rests on.
        known: further fields of `Generator`.
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
        udp_drops=int(health.groupby("process", observed=True)["udp_drops"].sum().max()) if len(health) else 0,
        **known,
    )
