"""The onset of a run, with the sentence that says what its status means here and what would help."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from janusload.analysis.bootstrap import Intervals, StepSample, bootstrap
from janusload.analysis.censored import km_quantiles
from janusload.analysis.generator import advice
from janusload.analysis.onset import Bracket, attempts_missing, attempts_needed, between, crossing, locate
from janusload.analysis.plan import Plan
from janusload.analysis.quantiles import SHOWN, in_milliseconds, named
from janusload.analysis.steps import Measured, Obstacle
from janusload.summary import Onset, OnsetStatus, Quantile, Quantiles
from janusload.wording import number, percent


def onset_of(
    part: Sequence[Measured],
    stopped: Measured | None,
    plan: Plan,
    timeout_s: float,
    planned: int = 0,
    *,
    intervals: bool = True,
) -> Onset:
    """Find the onset.

    Args:
        part: the steps that count, in the order of load.
        stopped: the step at which the analysis had to stop, None if it had not.
        timeout_s: T.
        planned: how many steps the scenario has; 0 if that is not known.
        intervals: whether to compute the intervals too, which takes most of the time.
    """
    bracket = locate([step.attempts for step in part], [step.timeouts for step in part], plan.rule)
    good = None if bracket.good is None else part[bracket.good]
    bad = None if bracket.bad is None else part[bracket.bad]
    status = _status(part, bracket, stopped, plan)
    latency, load = _point(part, bracket, plan, timeout_s)
    if bad is None and good is not None:
        latency = _as_lower_bounds(good, timeout_s)
    spread = None
    if intervals and load is not None:
        spread = _spread(part, plan, timeout_s)
        latency = _with_intervals(latency, spread)
    decided = [step for step in (good, bad) if step is not None] or list(part)
    return Onset(
        status=status,
        request=plan.request,
        axis=plan.axis,
        timeout_s=timeout_s,
        p0=plan.rule.p0,
        quantile=plan.rule.quantile,
        explanation=_explanation(status, part, bracket, stopped, plan, planned),
        load_bracket=(good.achieved if good else None, bad.achieved if bad else None) if good or bad else None,
        load=load,
        latency_ms=latency,
        bracket_ms=(_deciding(good, plan, timeout_s), _deciding(bad, plan, timeout_s)) if good or bad else None,
        samples_per_step=min((step.attempts for step in decided), default=None),
        rate_upper=float(bracket.upper[-1]) if part and bad is None else None,
        load_ci95=None if spread is None else spread.load,
        share_without_onset=None if spread is None else spread.without,
    )


def refused(plan: Plan, timeouts_s: Sequence[float]) -> Onset:
    """The onset of a run whose attempts were not all made with the same T."""
    listed = ", ".join(f"{timeout_s:g} s" for timeout_s in timeouts_s)
    words = f"T changed during the run ({listed}): latencies of different T cannot be put together; run each T apart."
    return _without_data(plan, max(timeouts_s), words)


def nothing_measured(plan: Plan, timeout_s: float, words: str) -> Onset:
    """The onset of a run that has no load steps, or no attempts."""
    return _without_data(plan, timeout_s, words)


def _without_data(plan: Plan, timeout_s: float, words: str) -> Onset:
    return Onset(
        status=OnsetStatus.INSUFFICIENT_DATA,
        request=plan.request,
        axis=plan.axis,
        timeout_s=timeout_s,
        p0=plan.rule.p0,
        quantile=plan.rule.quantile,
        explanation=words,
    )


def _status(part: Sequence[Measured], bracket: Bracket, stopped: Measured | None, plan: Plan) -> OnsetStatus:
    if bracket.bad is not None:
        if bracket.bad == 0:
            return OnsetStatus.FROM_START
        if bracket.good is None:
            return OnsetStatus.LOWER_UNPROVEN
        return OnsetStatus.FOUND if bracket.confirmed else OnsetStatus.UNCONFIRMED
    if stopped is not None:
        generator = stopped.obstacle is Obstacle.GENERATOR
        return OnsetStatus.GENERATOR_LIMITED if generator else OnsetStatus.TRANSPORT_LIMITED
    if not part:
        return OnsetStatus.INSUFFICIENT_DATA
    if not plan.completed:
        return OnsetStatus.ABORTED
    return OnsetStatus.INSUFFICIENT_DATA if bracket.good is None else OnsetStatus.NO_ONSET


def _point(
    part: Sequence[Measured], bracket: Bracket, plan: Plan, timeout_s: float
) -> tuple[Quantiles | None, float | None]:
    """Latency and load where the rate crosses p0; None without a bracket."""
    if bracket.good is None or bracket.bad is None:
        return None, None
    below, above, share = crossing([step.attempts for step in part], [step.timeouts for step in part], plan.rule)
    good, bad = part[below], part[above]
    low, high = _quantiles(good, SHOWN, timeout_s), _quantiles(bad, SHOWN, timeout_s)
    points = [
        # Past a lower bound there is only a lower bound: so far as it reaches into the value, the value is one too.
        Quantile(value=between(a.value, b.value, share), at_least=a.at_least or b.at_least)
        for a, b in zip(low, high, strict=True)
    ]
    return named(points), between(good.achieved, bad.achieved, share)


def _spread(part: Sequence[Measured], plan: Plan, timeout_s: float) -> Intervals:
    samples = [StepSample(step.achieved, step.due_ns, step.wait_s, step.timed_out) for step in part]
    return bootstrap(samples, plan.rule, timeout_s, SHOWN)


def _with_intervals(latency: Quantiles | None, spread: Intervals) -> Quantiles | None:
    if latency is None:
        return latency
    points = (latency.p50, latency.p95, latency.p99)
    return named(
        [
            point.model_copy(update={"ci95": (max(0.0, low * 1000), max(0.0, high * 1000))})
            for point, (low, high) in zip(points, spread.latency_s, strict=True)
            if point is not None
        ]
    )


def _as_lower_bounds(good: Measured, timeout_s: float) -> Quantiles:
    """No onset up to here: wherever it is, latency there is at least what it was here."""
    return named([found.model_copy(update={"at_least": True}) for found in _quantiles(good, SHOWN, timeout_s)])


def _deciding(step: Measured | None, plan: Plan, timeout_s: float) -> Quantile | None:
    return None if step is None else _quantiles(step, (plan.rule.quantile,), timeout_s)[0]


def _quantiles(step: Measured, which: Sequence[float], timeout_s: float) -> list[Quantile]:
    found = km_quantiles(step.wait_s, ~step.timed_out, np.asarray(which), timeout_s)
    return [in_milliseconds(quantile) for quantile in found or []]


def _explanation(
    status: OnsetStatus,
    part: Sequence[Measured],
    bracket: Bracket,
    stopped: Measured | None,
    plan: Plan,
    planned: int,
) -> str:
    """One sentence; a lookup by status would need every value for every status."""
    p0 = percent(plan.rule.p0)
    good = None if bracket.good is None else part[bracket.good]
    bad = None if bracket.bad is None else part[bracket.bad]
    so_far = f"up to {_load(good, plan)} timeouts are credibly below {p0}" if good else f"no step is proven below {p0}"
    match status:
        case OnsetStatus.FOUND:
            assert good is not None and bad is not None
            assert bracket.bad is not None
            helped = bracket.lower[bracket.bad] <= plan.rule.p0
            more = f" (with the step above it credibly more than {p0})" if helped else ""
            told = f"At {_load(bad, plan)} {_count(bad)}{more}, at {_load(good, plan)} {_count(good)}"
            return f"{told}; {p0} is tolerated.{_good_again(part, bracket, plan)}"
        case OnsetStatus.UNCONFIRMED:
            assert bad is not None
            why = (
                f"the step above it does not count ({stopped.words})"
                if stopped
                else "no higher step shows that it stays so"
            )
            return f"At {_load(bad, plan)} {_count(bad)}, but {why}: add a step above."
        case OnsetStatus.FROM_START:
            assert bad is not None
            return (
                f"Already at the lowest load that counts, {_load(bad, plan)}, {_count(bad)}: begin with a lower load."
            )
        case OnsetStatus.LOWER_UNPROVEN:
            assert bad is not None and bracket.bad is not None
            return f"At {_load(bad, plan)} {_count(bad)}, but {_unproven(part[: bracket.bad], plan)}."
        case OnsetStatus.GENERATOR_LIMITED | OnsetStatus.TRANSPORT_LIMITED:
            assert stopped is not None
            helps = advice(stopped.words) if stopped.obstacle is Obstacle.GENERATOR else ""
            return (
                f"At {number(stopped.window.offered)} {plan.unit} the step does not count ({stopped.words}); {so_far}."
                + (f" What helps: {helps}." if helps else "")
            )
        case OnsetStatus.ABORTED:
            of = f" of {planned}" if planned else ""
            how = "was interrupted" if plan.end == "interrupted" else "ended early"
            return f"The run {how} after {len(part)}{of} steps that count; {so_far}."
        case OnsetStatus.NO_ONSET:
            last = part[-1]
            above = "" if good is last else f", and above that no step is credibly on either side of {p0}"
            return f"At the highest load, {_load(last, plan)}, {_count(last)}: {so_far}{above}; offer more to find it."
        case OnsetStatus.INSUFFICIENT_DATA:
            return (
                f"No step shows anything for certain: {_unproven(part, plan)}."
                if part
                else "No load step has attempts that count."
            )


def _good_again(part: Sequence[Measured], bracket: Bracket, plan: Plan) -> str:
    """A sentence on steps above K that are credibly good: then it was hardly the load."""
    assert bracket.bad is not None
    above = [number(part[at].achieved) for at in range(bracket.bad + 1, len(part)) if bracket.upper[at] < plan.rule.p0]
    if not above:
        return ""
    loads = above[0] if len(above) == 1 else f"{', '.join(above[:-1])} and {above[-1]}"
    return (
        f" But at {loads} {plan.unit} timeouts were credibly below that again: "
        "something else than the load may have caused them."
    )


def _unproven(below: Sequence[Measured], plan: Plan) -> str:
    """Why no step of these is proven below p0, and what it would take for the highest that could be."""
    p0 = percent(plan.rule.p0)
    for step in reversed(below):
        missing = attempts_missing(step.attempts, step.timeouts, plan.rule)
        if missing is not None:
            return (
                f"no step is proven below {p0}: it would take about {missing} more attempts at {_load(step, plan)}, "
                f"where {_count(step)}"
            )
    least = attempts_needed(plan.rule.p0, plan.rule.alpha)
    return f"no step had a rate below {p0}: begin with a lower load, at least {least} attempts a step"


def _load(step: Measured, plan: Plan) -> str:
    return f"{number(step.achieved)} {plan.unit}"


def _count(step: Measured) -> str:
    return f"{step.timeouts:,} of {step.attempts:,} timed out"
