"""From a run folder to its `Summary`: the one entrance to this package.

Works on whatever the folder holds: a run that came to its end, one that was interrupted or killed, one without a single
request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from janusload.analysis.answer import nothing_measured, onset_of, refused
from janusload.analysis.attempts import Attempts, attempts_of, under_test
from janusload.analysis.bootstrap import StepSample
from janusload.analysis.censored import one_sided_z, wilson_bounds
from janusload.analysis.failure import Evidence, failure_of
from janusload.analysis.frames import Frames, read_frames
from janusload.analysis.gaps import gaps_of, missing_of
from janusload.analysis.generator import DROPPED_LIMIT, Surroundings, dropped_lives, generator_of, in_flight, keeping_up
from janusload.analysis.headline import Borne, headline
from janusload.analysis.media import Flow, flow_of, media_of
from janusload.analysis.memory import memory_of
from janusload.analysis.onset import locate
from janusload.analysis.plan import Plan, part, plan_of
from janusload.analysis.prevailing import by_latency
from janusload.analysis.recordings import recordings_of
from janusload.analysis.requests import requests_of
from janusload.analysis.server import cpu_limit_percent, log_of, server_of
from janusload.analysis.steps import Measured, Obstacle, as_steps, asked_instead, measure, taking_part
from janusload.analysis.strips import log_of_time, strips_of
from janusload.analysis.sweep import sweep_of
from janusload.analysis.thresholds import thresholds_of
from janusload.analysis.timeline import axis_of, timeline_of
from janusload.analysis.windows import Window, bins_of_equal_count, step_at, windows_of
from janusload.records import MarkerKind, Outcome, Source
from janusload.run_folder import RunFolder
from janusload.summary import Failure, FailureKind, Leaks, Onset, OnsetStatus, RunFacts, Summary, Threshold, Verdict
from janusload.wording import number

#: a climb that ended so leaves open where the onset lies
_OPEN = {
    OnsetStatus.INSUFFICIENT_DATA,
    OnsetStatus.LOWER_UNPROVEN,
    OnsetStatus.FROM_START,
    OnsetStatus.GENERATOR_LIMITED,
    OnsetStatus.TRANSPORT_LIMITED,
}

#: requests by which somebody comes into a room
_JOINS = ("audiobridge.join", "videoroom.join", "videoroom.joinandconfigure")
_DEFAULT_TIMEOUT_S = 5.0  # only named where neither meta nor any record says what T was


@dataclass(frozen=True)
class _Seen:
    """A run as it was read and cut into steps.

    Attributes:
        attempts: those that the onset is about.
        begin_ns, last_ns: t = 0 of the run and the last moment that it recorded.
        around: what else was recorded while the load was on.
        measured, taken, stopped: as of `steps.measure` and `steps.taking_part`.
    """

    meta: Mapping[str, Any]
    plan: Plan
    frames: Frames
    attempts: Attempts
    timeout_s: float
    begin_ns: int
    last_ns: int
    flow: Flow | None
    around: Surroundings
    measured: list[Measured]
    taken: list[Measured]
    stopped: Measured | None


def _see(folder: RunFolder, request: str | None) -> _Seen:
    meta = folder.read_meta()
    plan = plan_of(meta)
    frames = read_frames(folder)
    load, ramp = bins_of_equal_count(under_test(frames["request"], plan.request), frames["marker"])
    begin_ns, last_ns = _extent(frames, plan)
    timeout_s = plan.timeout_s or max(load.timeouts_s, default=_DEFAULT_TIMEOUT_S)
    flow = flow_of(frames["media"])
    if not plan.per_second and flow is not None:
        # on the axis of participants the rate of a bin's attempts is not its load
        ramp = [bin_._replace(offered=float(flow.during(bin_.begin_ns, bin_.end_ns))) for bin_ in ramp]
    connects = attempts_of(frames["request"], "ws.connect", Source.ARRIVALS)
    around = Surroundings(frames["health"], frames["server"], connects, flow, missing_of(frames["marker"]))
    windows = ramp or windows_of(frames["marker"], plan.settling_s(timeout_s), load)
    attempts, measured = load, measure(windows, load, plan, timeout_s, around)
    if request is not None and request != plan.request:
        attempts = under_test(frames["request"], request)
        if ramp:
            attempts = replace(attempts, step=step_at(windows, attempts.due_ns))
        timeout_s = max(attempts.timeouts_s, default=timeout_s)
        plan = plan._replace(request=request)
        measured = asked_instead(measured, measure(windows, attempts, plan, timeout_s, around))
    taken, stopped = taking_part(measured)
    return _Seen(meta, plan, frames, attempts, timeout_s, begin_ns, last_ns, flow, around, measured, taken, stopped)


def counted_steps(folder: RunFolder) -> list[StepSample]:
    """The attempts of the steps that count, in the order of load: what a comparison resamples.

    Raises:
        RunFolderError: `meta.json` cannot be read.
    """
    return [StepSample(step.achieved, step.due_ns, step.wait_s, step.timed_out) for step in _see(folder, None).taken]


def summarize(folder: RunFolder, request: str | None = None) -> Summary:
    """Analyse a run.

    Args:
        request: another request than the run was about, as in `audiobridge.join`: at which load (of the same steps)
            and latency does that one begin timing out?

    Raises:
        RunFolderError: `meta.json` cannot be read.
    """
    seen = _see(folder, request)
    meta, plan, frames, attempts, timeout_s = seen.meta, seen.plan, seen.frames, seen.attempts, seen.timeout_s
    begin_ns, last_ns, flow = seen.begin_ns, seen.last_ns, seen.flow
    measured, taken, stopped = seen.measured, seen.taken, seen.stopped
    onset = _onset(attempts, measured, taken, stopped, plan, timeout_s, len(part(meta, "analysis").get("steps") or []))
    answered = len(attempts.timeouts_s) == 1 and bool(taken)
    prevailing = by_latency(frames["probe"], attempts, taken, plan, timeout_s) if answered else None
    failure = _failure(frames, attempts, taken, stopped, plan, timeout_s, (begin_ns, last_ns), meta)
    if folder.evidence.is_dir() and any(folder.evidence.iterdir()):
        failure = failure.model_copy(update={"evidence": folder.evidence.name})
    climbs = _climbs(meta)
    axis = axis_of(begin_ns, last_ns)
    summary = Summary(
        verdict=Verdict.INCONCLUSIVE,  # until the limits are judged
        headline=headline(onset, failure, None if climbs or request else _borne(frames, failure, begin_ns, last_ns)),
        run=_facts(folder, meta, plan, (last_ns - begin_ns) / 1e9, frames.unread_bytes),
        onset=onset,
        onset_by_latency=None if prevailing is None else prevailing[0],
        latency_bins=[] if prevailing is None else prevailing[1],
        sweep=sweep_of(taken, stopped, plan, timeout_s) if answered else [],
        failure=failure,
        steps=as_steps(measured, taken, plan.rule, begin_ns, timeout_s),
        requests=requests_of(frames["request"]),
        media=media_of(frames["media"], flow, frames["heard"], frames["peer_event"]),
        server=server_of(frames["server"], meta),
        memory=memory_of(frames["server"], frames["storage"], _load_span(frames["marker"]), climbs=climbs),
        recordings=recordings_of(
            frames["recording"],
            frames["media"],
            frames["take"],
            frames["mix"],
            looked=not frames["storage"].empty,
        ),
        log=log_of(frames["log"]),
        generator=generator_of(
            frames["health"],
            attempts,
            _generator_reasons(stopped, onset, plan) or ([] if climbs else _unstepped_reasons(seen, failure)),
            dropped_lives=dropped_lives(frames["request"])[0],
            in_flight=None if request is not None else _little(seen),
            gaps=gaps_of(seen.around.missing, begin_ns),
            clocks=_clocks(meta),
        ),
        leaks=Leaks.model_validate(
            {key: value for key, value in part(meta, "leaks").items() if key in Leaks.model_fields}
        ),
        timeline=timeline_of(axis, attempts, flow, frames["server"], frames["probe"], frames["marker"]).model_copy(
            update={"log": log_of_time(axis, frames["log"]), "strips": strips_of(axis, frames)}
        ),
    )
    thresholds = thresholds_of(meta.get("limits") or [], summary, frames["request"], plan.end)
    verdict = _verdict(summary, thresholds, broke_off=plan.broke_off)
    return summary.model_copy(update={"verdict": verdict, "thresholds": thresholds})


def _borne(frames: Frames, failure: Failure, begin_ns: int, last_ns: int) -> Borne:
    """What the server was put through: from the first load to its failure, or to the load's end."""
    span = _load_span(frames["marker"]) or (begin_ns, last_ns)
    until_ns = span[1] if failure.first_seen_s is None else begin_ns + round(failure.first_seen_s * 1e9)
    request = frames["request"]
    joined = request[request["name"].isin(_JOINS) & (request["outcome"] == Outcome.OK)]
    return Borne(max(0.0, (until_ns - span[0]) / 1e9), int((joined["answered_ns"] < until_ns).sum()))


def _load_span(marker: pd.DataFrame) -> tuple[int, int] | None:
    """From when the users began to join until they left, monotonic ns; None where the run does not say."""
    phases = marker[marker["kind"] == MarkerKind.PHASE.value].sort_values("t_ns", kind="stable")
    begins = phases.loc[phases["label"].isin(["joining", "steps"]), "t_ns"]
    ends = phases.loc[phases["label"].isin(["recovery", "leaving", "end"]), "t_ns"]
    if begins.empty or ends.empty:
        return None
    return int(begins.iloc[0]), int(ends.iloc[0])


def _extent(frames: Frames, plan: Plan) -> tuple[int, int]:
    """When the run began and the last moment that it recorded, monotonic ns."""
    first: list[float] = []
    last: list[float] = []
    for kind, columns in (
        ("request", ("due_ns", "sent_ns", "answered_ns", "late_ns")),
        ("probe", ("due_ns", "answered_ns")),
        *(
            (kind, ("t_ns",))
            for kind in ("media", "heard", "peer_event", "server", "thread", "log", "health", "marker")
        ),
    ):
        for column in columns:
            values = frames[kind][column].dropna()
            if len(values):
                first.append(float(values.min()))
                last.append(float(values.max()))
    begin = plan.begin_ns if plan.begin_ns is not None else int(min(first, default=0))
    return begin, max(begin, int(max(last, default=begin)))


def _onset(
    attempts: Attempts,
    measured: list[Measured],
    taken: list[Measured],
    stopped: Measured | None,
    plan: Plan,
    timeout_s: float,
    planned: int,
) -> Onset:
    if len(attempts.timeouts_s) > 1:
        return refused(plan, attempts.timeouts_s)
    if not len(attempts):
        return nothing_measured(plan, timeout_s, f"The run made no {plan.request} request.")
    if not measured:
        return nothing_measured(plan, timeout_s, "The run has no load steps.")
    return onset_of(taken, stopped, plan, timeout_s, planned)


def _failure(
    frames: Frames,
    attempts: Attempts,
    taken: list[Measured],
    stopped: Measured | None,
    plan: Plan,
    timeout_s: float,
    extent_ns: tuple[int, int],
    meta: Mapping[str, Any],
) -> Failure:
    bad = locate([step.attempts for step in taken], [step.timeouts for step in taken], plan.rule).bad
    bad_from_ns = None if bad is None else taken[bad].window.begin_ns
    ours = False
    if bad is None and _times_out(attempts, plan):
        if stopped is not None and stopped.obstacle is Obstacle.GENERATOR:
            ours = True
        else:
            bad_from_ns = int(attempts.due_ns[attempts.timed_out].min())
    return failure_of(
        Evidence(
            probe=frames["probe"],
            server=frames["server"],
            marker=frames["marker"],
            request=frames["request"],
            attempts=attempts,
            timeout_s=timeout_s,
            begin_ns=extent_ns[0],
            last_ns=extent_ns[1],
            bad_from_ns=bad_from_ns,
            bad_was_ours=ours,
            cpu_limit_percent=cpu_limit_percent(meta),
            thread=frames["thread"],
            log=frames["log"],
            exit_status=_exit_status(meta),
        )
    )


def _times_out(attempts: Attempts, plan: Plan) -> bool:
    """Whether the attempts of the whole run, steps or not, time out credibly more often than tolerated."""
    lower, _ = wilson_bounds(attempts.timed_out.sum(), attempts.judged.sum(), one_sided_z(plan.rule.alpha))
    return bool(lower > plan.rule.p0)


def _exit_status(meta: Mapping[str, Any]) -> int | None:
    status = part(meta, "watched").get("exit_status")
    return status if isinstance(status, int) else None


def _generator_reasons(stopped: Measured | None, onset: Onset, plan: Plan) -> list[str]:
    """Why the generator was the limit, if the answer suffers from it: above a confirmed onset it does not."""
    if stopped is None or stopped.obstacle is not Obstacle.GENERATOR or onset.status is OnsetStatus.FOUND:
        return []
    first, *more = stopped.words.removeprefix("generator: ").split("; ")
    return [f"at {number(stopped.window.offered)} {plan.unit} {first}", *more]


def _unstepped_reasons(seen: _Seen, failure: Failure) -> list[str]:
    """Why the generator was the limit in a run whose load was to stay the same, or came from users alone."""
    span = _steady_span(seen.frames["marker"])
    if span is None:
        return []
    whole = Window(-1, 0.0, span[0], span[0], span[1], None)
    reasons = keeping_up(whole, seen.around, seen.timeout_s)
    dropped, of = dropped_lives(seen.frames["request"])
    if dropped > DROPPED_LIMIT * of and failure.kind in (FailureKind.NONE, FailureKind.GENERATOR_LIMITED):
        reasons.append(f"{dropped} of {of} lives were dropped: no user was free to begin them")
    return reasons


def _steady_span(marker: pd.DataFrame) -> tuple[int, int] | None:
    """From when all users were there until the load went off, monotonic ns; None where the run does not say."""
    phases = marker[marker["kind"] == MarkerKind.PHASE.value].sort_values("t_ns", kind="stable")
    begins = phases.loc[phases["label"].isin(["steps", "steady"]), "t_ns"]
    ends = phases.loc[phases["label"].isin(["recovery", "leaving", "end"]), "t_ns"]
    return None if begins.empty or ends.empty else (int(begins.iloc[0]), int(ends.iloc[0]))


def _little(seen: _Seen) -> tuple[float, float] | None:
    span = _steady_span(seen.frames["marker"])
    found = None if span is None else in_flight(*span, seen.attempts, seen.frames["health"])
    return None if found is None else (found.counted, found.by_law)


def _clocks(meta: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    """Of workers with a clock of their own: by how many ms it was ahead of the master's, and how wrong that may be."""
    workers = part(meta, "fleet").get("took_part") or []
    return {
        str(worker["process"]): (worker["clock_offset_ns"] / 1e6, (worker.get("clock_error_ns") or 0) / 1e6)
        for worker in workers
        if worker.get("clock_offset_ns")
    }


def _verdict(summary: Summary, thresholds: list[Threshold], *, broke_off: bool) -> Verdict:
    """A run fails by a limit that it crossed, or by a server that stopped working; it passes if it could have told.

    Under too much load a server may stall for a while, in a soak not. One that stopped working did so whether or not
    the generator kept up. A run that broke off has told what it was for only if it had seen the onset by then.
    """
    onset, failure, climbs = summary.onset, summary.failure, summary.run.climbs
    if failure.kind.is_stall and not (climbs and failure.came_back):
        return Verdict.FAILED
    if not summary.generator.valid or onset.status in (OnsetStatus.GENERATOR_LIMITED, OnsetStatus.TRANSPORT_LIMITED):
        # what was sent too late, or could not be sent for want of connections, tells nothing of the server's answers
        return Verdict.INCONCLUSIVE
    if any(limit.judged and not limit.passed for limit in thresholds):
        return Verdict.FAILED
    if not all(limit.judged for limit in thresholds):
        return Verdict.INCONCLUSIVE
    if climbs and (onset.status in _OPEN or (onset.status is OnsetStatus.ABORTED and onset.load_bracket is None)):
        return Verdict.INCONCLUSIVE
    if broke_off and not (climbs and onset.status in (OnsetStatus.FOUND, OnsetStatus.UNCONFIRMED)):
        return Verdict.INCONCLUSIVE
    return Verdict.PASSED


def _facts(
    folder: RunFolder, meta: Mapping[str, Any], plan: Plan, duration_s: float, unread_bytes: dict[str, int]
) -> RunFacts:
    run, scenario = part(meta, "run"), part(meta, "scenario")
    seed = meta.get("seed")
    return RunFacts(
        name=str(scenario.get("name") or run.get("name") or folder.path.name),
        asks=_text(scenario.get("asks")),
        started_utc=str(run.get("started_utc") or part(meta, "clock").get("utc") or ""),
        duration_s=duration_s,
        end=plan.end or "failed: the run was cut off",
        where=str(run.get("where") or ""),
        command=_text(run.get("command")),
        scenario=_text(scenario.get("text")),
        versions={str(key): str(value) for key, value in part(meta, "versions").items()},
        host=part(meta, "host"),
        server_info=part(meta, "server"),
        lab=part(meta, "lab") or None,
        seed=seed if isinstance(seed, int) else None,
        climbs=_climbs(meta),
        unread_bytes=unread_bytes,
    )


def _climbs(meta: Mapping[str, Any]) -> bool:
    return part(meta, "analysis").get("climbs") is not False


def _text(value: object) -> str | None:
    return None if value is None else str(value)
