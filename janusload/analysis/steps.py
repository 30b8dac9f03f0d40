"""What each load step measured, and whether it counts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from janusload.analysis.attempts import Attempts
from janusload.analysis.censored import BoolArray, FloatArray, one_sided_z, wilson_bounds
from janusload.analysis.generator import Surroundings, limits
from janusload.analysis.onset import Rule
from janusload.analysis.plan import Plan
from janusload.analysis.quantiles import curve_ms, latency_ms
from janusload.analysis.windows import Window
from janusload.records import Outcome
from janusload.summary import Rate, Step


class Obstacle(Enum):
    """Why a step takes no part in the onset."""

    EMPTY = "empty"  # nothing was judged in it; the steps around it still count
    GENERATOR = "generator"  # the analysis stops below it
    TRANSPORT = "transport"  # the analysis stops below it


@dataclass(frozen=True)
class Measured:
    """One step's attempts and what they say.

    Attributes:
        achieved: load on the axis: frames written per second, or participants.
        due_ns, wait_s, service_s, timed_out: shape (n,), the judged attempts in the order in which they were due.
        outcomes: all attempts that were due in the counted part of the step.
        obstacle, words: why the step does not count, None and empty if it does.
    """

    window: Window
    achieved: float
    due_ns: NDArray[np.int64]
    wait_s: FloatArray
    service_s: FloatArray
    timed_out: BoolArray
    outcomes: dict[str, int]
    participants: int | None
    server_cpu_percent: float | None
    obstacle: Obstacle | None
    words: str

    @property
    def attempts(self) -> int:
        return len(self.due_ns)

    @property
    def timeouts(self) -> int:
        return int(self.timed_out.sum())


def measure(
    windows: list[Window], attempts: Attempts, plan: Plan, timeout_s: float, around: Surroundings
) -> list[Measured]:
    """Measure every step.

    Returns:
        The steps in the order of offered load (steps of equal load in the order of time).
    """
    known_until_ns = _known_until(attempts, plan, timeout_s)
    z = one_sided_z(plan.rule.alpha / max(1, len(windows)))
    measured = [_measure(window, attempts, plan, timeout_s, around, known_until_ns, z) for window in windows]
    return sorted(measured, key=lambda step: step.window.offered)


def _known_until(attempts: Attempts, plan: Plan, timeout_s: float) -> float:
    """The last moment of writing after which it is known of every attempt whether it timed out.

    Where a run was cut off, quick answers of its last T seconds were seen and slow ones were not: counting either
    would flatter the rate.
    """
    if plan.completed and Outcome.CUT not in attempts.outcomes():
        return np.inf
    ends_ns = attempts.sent_ns + np.where(np.isfinite(attempts.service_s), attempts.service_s, 0.0) * 1e9
    stop_ns = np.nanmax(ends_ns, initial=float(attempts.due_ns.max(initial=0)))
    return float(stop_ns) - timeout_s * 1e9


def _measure(
    window: Window,
    attempts: Attempts,
    plan: Plan,
    timeout_s: float,
    around: Surroundings,
    known_until_ns: float,
    z: float,
) -> Measured:
    rows = (attempts.step == window.step) & (attempts.due_ns >= window.settled_ns)
    chosen = np.flatnonzero(rows & attempts.judged & (attempts.sent_ns <= known_until_ns))
    chosen = chosen[np.argsort(attempts.due_ns[chosen], kind="stable")]
    participants = around.flow.during(window.settled_ns, window.end_ns) if around.flow else None
    timed_out = attempts.timed_out[chosen]
    outcomes = attempts.outcomes(rows)
    obstacle, words = _obstacle(window, attempts, rows, plan, timeout_s, around, z, timed_out)
    return Measured(
        window=window,
        achieved=_achieved(window, attempts, plan, participants),
        due_ns=attempts.due_ns[chosen],
        wait_s=attempts.wait_s[chosen],
        service_s=attempts.service_s[chosen],
        timed_out=timed_out,
        outcomes=outcomes,
        participants=participants,
        server_cpu_percent=_mean_between(around.server, window),
        obstacle=obstacle,
        words=words,
    )


def _achieved(window: Window, attempts: Attempts, plan: Plan, participants: int | None) -> float:
    if not plan.per_second:
        return window.offered if participants is None else float(participants)
    if window.counted_s <= 0:
        return 0.0
    # Of this moment and not of this step: what was due before and left late is load now.
    written = (attempts.sent_ns >= window.settled_ns) & (attempts.sent_ns < window.end_ns)
    return float(written.sum()) / window.counted_s


def _obstacle(
    window: Window,
    attempts: Attempts,
    rows: BoolArray,
    plan: Plan,
    timeout_s: float,
    around: Surroundings,
    z: float,
    timed_out: BoolArray,
) -> tuple[Obstacle | None, str]:
    if window.counted_s <= 0:
        return Obstacle.EMPTY, "it was shorter than the settling time"
    times_out = bool(wilson_bounds(timed_out.sum(), timed_out.size, z)[0] > plan.rule.p0)
    broken = _without_connection(window, attempts.outcomes(rows), around.connects, times_out)
    reasons = limits(window, attempts, rows, around, timeout_s, rate=plan.per_second, excused=broken)
    if reasons:
        return Obstacle.GENERATOR, "generator: " + "; ".join(reasons)
    total = int(rows.sum())
    # Where requests time out beyond doubt, connections that break as well do not make the onset less of one.
    if wilson_bounds(broken, total, z)[0] > plan.rule.p0 and not times_out:
        return Obstacle.TRANSPORT, f"transport: {broken} of {total} attempts had no connection, or lost it"
    if timed_out.size == 0:
        return Obstacle.EMPTY, "no attempt in it can be judged"
    return None, ""


def _without_connection(window: Window, outcomes: dict[str, int], connects: Attempts, times_out: bool) -> int:
    """How many attempts of a step had no connection to be written to, or lost it.

    An arrival is dropped when no client can take it. That is the generator's failing, unless connections were lost or
    refused at that time, or the server no longer read from them: then there was nobody to take it.
    """
    broken = outcomes.get(Outcome.CONNECT_FAILED, 0) + outcomes.get(Outcome.LOST_CONNECTION, 0)
    while_it_ran = (connects.due_ns >= window.begin_ns) & (connects.due_ns < window.end_ns)
    refused = connects.outcomes(while_it_ran).get(Outcome.CONNECT_FAILED, 0)
    # A pool's lost connections are opened again about once a second: that is a record even if nothing was pending.
    reopened = connects.outcomes(while_it_ran).get(Outcome.OK, 0)
    if broken or refused or reopened or times_out:
        broken += outcomes.get(Outcome.DROPPED, 0)
    return broken


def _mean_between(server: pd.DataFrame, window: Window) -> float | None:
    inside = server[(server["t_ns"] > window.settled_ns) & (server["t_ns"] <= window.end_ns)]
    known = inside["cpu_percent"].dropna()
    return float(known.mean()) if len(known) else None


def asked_instead(load: list[Measured], asked: list[Measured]) -> list[Measured]:
    """The steps of another request at the load of those under test, which also say whether a step counts.

    Args:
        load, asked: of the same windows, both in the order of offered load.
    """
    return [
        replace(of, achieved=step.achieved)
        if step.obstacle in (None, Obstacle.EMPTY)
        else replace(of, achieved=step.achieved, obstacle=step.obstacle, words=step.words)
        for step, of in zip(load, (_without_blame(each) for each in asked), strict=True)
    ]


def _without_blame(step: Measured) -> Measured:
    """A request of closed-loop users is not offered at any rate: only that none of it was judged leaves a step out."""
    empty = step.window.counted_s <= 0 or not step.attempts
    words = step.words if step.obstacle is Obstacle.EMPTY else "no attempt in it can be judged"
    return replace(step, obstacle=Obstacle.EMPTY if empty else None, words=words if empty else "")


def taking_part(measured: list[Measured]) -> tuple[list[Measured], Measured | None]:
    """The steps that the onset rests on, and the step at which the analysis had to stop (None if it had not)."""
    part: list[Measured] = []
    for step in measured:
        if step.obstacle in (Obstacle.GENERATOR, Obstacle.TRANSPORT):
            return part, step
        if step.obstacle is None:
            part.append(step)
    return part, None


def as_steps(measured: list[Measured], part: list[Measured], rule: Rule, begin_ns: int, timeout_s: float) -> list[Step]:
    """The steps as the summary holds them, in the order of time.

    Args:
        part: the steps that take part in the onset.
        begin_ns: t = 0 of the run.
    """
    taken = {step.window.step for step in part}
    steps = []
    for step in sorted(measured, key=lambda step: step.window.begin_ns):
        counted = step.window.step in taken
        words = step.words or ("" if counted else "it lies above a step at which the analysis had to stop")
        steps.append(
            Step(
                index=step.window.step,
                offered=step.window.offered,
                achieved=step.achieved,
                begin_s=(step.window.begin_ns - begin_ns) / 1e9,
                settled_s=(min(step.window.settled_ns, step.window.end_ns) - begin_ns) / 1e9,
                end_s=(step.window.end_ns - begin_ns) / 1e9,
                rate=rate_of(step, rule),
                latency_ms=latency_ms(step.wait_s, step.timed_out, timeout_s),
                outcomes=step.outcomes,
                participants=step.participants,
                server_cpu_percent=step.server_cpu_percent,
                counted=counted,
                left_out=words or None,
                curve=curve_ms(step.wait_s, step.timed_out, timeout_s),
            )
        )
    return steps


def rate_of(step: Measured, rule: Rule) -> Rate:
    """The timeout rate of a step with its bounds."""
    lower, _ = wilson_bounds(step.timeouts, step.attempts, one_sided_z(rule.own))
    _, upper = wilson_bounds(step.timeouts, step.attempts, one_sided_z(rule.alpha))
    return Rate(
        timeouts=step.timeouts,
        attempts=step.attempts,
        value=step.timeouts / step.attempts if step.attempts else 0.0,
        lower=float(lower),
        upper=float(upper),
    )
