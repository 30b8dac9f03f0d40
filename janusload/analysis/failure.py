"""What kind of failure a run saw (measurement.md section 5), and the rule by which it was told.

The rules, first match first:

1. The process is gone at the end: crashed, or out of descriptors or memory. It stood still (state T): process_frozen.
2. Rungs are dead at the end, with the load off (or with it on and no answer of any kind arriving): the outermost dead
   rung says what is stuck, and the process's state where it was seen (`verdict.judge`) whether a disk or the CPU is
   behind it. While answers arrive, however late, nothing is called stuck.
3. A stall was named while it lasted: that one by its last name, the worst if there were several. Else: everything
   answers at the end, but there was a time of no answer at all, late ones included, while the WebSocket answered its
   pings and the CPU was idle; or of no answer from one rung while those that wait in the same queue answered, and that
   ended with the load still on: stuck for that time. Else: the log says that descriptors or threads ran out.
4. Everything answers at the end and requests had timed out: overload; or the generator, if only while it was the limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from janusload.analysis.attempts import Attempts
from janusload.analysis.ladder import IN_A_ROW, RungHistory, ladder_of
from janusload.analysis.seen import lines_of, named_live, window_of
from janusload.analysis.silence import Silence, least_silence_s, silences_of
from janusload.records import MarkerKind, Rung
from janusload.summary import Failure, FailureKind
from janusload.verdict import Window, judge

#: what only the process can tell; for the rest the rungs of the whole run know better
_TOLD_BY_PROCESS = (
    FailureKind.DISK_STUCK,
    FailureKind.MEMORY_WRITEBACK,
    FailureKind.CPU_STARVED,
    FailureKind.OVERLOAD,
    FailureKind.FDS,
    FailureKind.THREADS,
)
#: nothing to come back from, or nobody who could
_WITHOUT_RECOVERY = (FailureKind.NONE, FailureKind.CRASHED, FailureKind.GENERATOR_LIMITED)
_BEFORE_THE_END_NS = 30_000_000_000
#: of a run, from which on a generator that is the limit is what it shows
_LIMITED_SHARE = 0.25

_PLUGIN_RUNGS = (Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC)
_PLUGIN = "audiobridge"
_CORE_RUNGS = (Rung.PING, Rung.CREATE)
_WEBSOCKET_RUNGS = (Rung.WS_UPGRADE, Rung.WS_PING)
#: rungs that wait in the same queue as those they stand behind: if only they go unanswered, it is no queue
_BEHIND: dict[Rung, tuple[Rung, ...]] = {
    Rung.CREATE: (Rung.PING,),
    Rung.AUDIOBRIDGE_SYNC: (Rung.PING, Rung.CREATE),
    Rung.AUDIOBRIDGE_ASYNC: (Rung.PING, Rung.CREATE),
}


@dataclass(frozen=True)
class Evidence:
    """What the kind of failure is told from.

    Attributes:
        probe, server, marker, request: frames of `frames.read_frames`.
        attempts: the attempts under test.
        timeout_s: T.
        begin_ns: t = 0 of the run.
        last_ns: the last moment that the run recorded.
        bad_from_ns: when the step began that is credibly above p0; None without one.
        bad_was_ours: whether requests timed out credibly only where the generator was the limit.
        cpu_limit_percent: CPU quota of the server, percent of a core; None if unknown.
        exit_status: how the server's process ended, minus the signal; None if it did not or if that is not known.
    """

    probe: pd.DataFrame
    server: pd.DataFrame
    marker: pd.DataFrame
    request: pd.DataFrame
    attempts: Attempts
    timeout_s: float
    begin_ns: int
    last_ns: int
    bad_from_ns: int | None
    bad_was_ours: bool
    cpu_limit_percent: float | None
    thread: pd.DataFrame
    log: pd.DataFrame
    exit_status: int | None = None


@dataclass(frozen=True)
class _Finding:
    kind: FailureKind
    rule: str
    plugin: str | None = None
    since_ns: float | None = None
    lasted_s: float | None = None


def failure_of(seen: Evidence) -> Failure:
    """Tell the kind of failure."""
    until_ns = _watched_until(seen)
    ladder = ladder_of(seen.probe, until_ns)
    off_ns = _phase_begin(seen.marker, "recovery")
    silences = silences_of(seen.request, seen.probe, seen.server, seen.timeout_s, until_ns, seen.cpu_limit_percent)
    finding = (
        _of_process(seen, until_ns)
        or _dead_at_end(seen, ladder, off_ns, until_ns)
        or _was_named(seen, until_ns)
        or _was_stuck(ladder, silences, off_ns)
        or _ran_out(seen, until_ns)
        or _came_back(seen, ladder, off_ns)
    )
    named = named_live(seen.marker, until_ns)
    recovered_s = None
    if finding.kind not in _WITHOUT_RECOVERY and not _anything_dead(ladder):
        recovered_s = _recovered_after_s(seen.marker, ladder, off_ns)
    return Failure(
        kind=finding.kind,
        rule=finding.rule + ("" if recovered_s is not None else _not_back(finding, off_ns, watched=bool(ladder))),
        plugin=finding.plugin,
        first_seen_s=_first_seen_s(seen, ladder, finding),
        detected_after_s=None if named is None else (named.found_ns - named.since_ns) / 1e9,
        recovered_after_s=recovered_s,
        lasted_s=finding.lasted_s,
        recovery_leg=off_ns is not None,
    )


def _watched_until(seen: Evidence) -> float:
    """When the server stopped being watched: it is told to stop soon after, which is no crash."""
    end_ns = _phase_begin(seen.marker, "end")
    return float(seen.last_ns + 1 if end_ns is None else end_ns)


def _phase_begin(marker: pd.DataFrame, label: str) -> int | None:
    begins = marker["t_ns"][(marker["kind"] == MarkerKind.PHASE) & (marker["label"] == label)]
    return int(begins.min()) if len(begins) else None


def _of_process(seen: Evidence, until_ns: float) -> _Finding | None:
    """Rule 1: what the process itself shows."""
    watched = seen.server[seen.server["t_ns"] < until_ns].sort_values("t_ns", kind="stable")
    states = watched["state"].astype(str).to_numpy()
    moments = watched["t_ns"].to_numpy(np.int64)
    if len(states) > 1 and states[-1] == "" and (states != "").any():
        gone_ns = moments[np.flatnonzero(states != "")[-1] + 1]
        if _answered_after(seen.probe, gone_ns):
            return None  # another process was looked at, or an agent lied
        signal = -seen.exit_status if seen.exit_status is not None and seen.exit_status < 0 else None
        span_ns = (gone_ns - _BEFORE_THE_END_NS, until_ns)
        how = judge(window_of(seen.server, seen.thread, seen.log, span_ns, signal=signal))
        if how is None:
            return _Finding(FailureKind.CRASHED, "the Janus process is gone", since_ns=gone_ns)
        return _Finding(how.kind, how.rule, since_ns=gone_ns)
    stopped = np.flatnonzero(states == "T")  # t is a debugger's doing
    if len(stopped) >= IN_A_ROW or (len(stopped) and stopped[-1] == len(states) - 1):
        rule = f"the Janus process was stopped (state T in {len(stopped)} of {len(states)} readings)"
        after = moments[moments > moments[stopped[-1]]]
        lasted_s = (after[0] - moments[stopped[0]]) / 1e9 if len(after) else None
        return _Finding(FailureKind.PROCESS_FROZEN, rule, since_ns=moments[stopped[0]], lasted_s=lasted_s)
    return None


def _answered_after(probe: pd.DataFrame, moment_ns: int) -> bool:
    """Whether a question asked a second after that, or later, was answered."""
    asked = probe[(probe["due_ns"] > moment_ns + 1_000_000_000) & (probe["rung"] != Rung.TCP)]
    return bool(asked["ok"].any())


def _was_named(seen: Evidence, until_ns: float) -> _Finding | None:
    """A stall that was named while it lasted, from more than the records of the ladder."""
    named = named_live(seen.marker, until_ns)
    if named is None:
        return None
    if named.kind is FailureKind.CPU_STARVED and seen.bad_from_ns is not None:
        return None  # what an overload left behind is worked off after the load has gone: no failure of its own
    return _Finding(named.kind, named.rule, named.plugin, named.since_ns, named.lasted_s)


def _ran_out(seen: Evidence, until_ns: float) -> _Finding | None:
    """Descriptors or threads that ran out although every rung answered."""
    found = judge(Window(log=lines_of(seen.log, seen.begin_ns, until_ns)))
    return None if found is None else _Finding(found.kind, found.rule)


def _dead_at_end(
    seen: Evidence, ladder: dict[Rung, RungHistory], off_ns: int | None, until_ns: float
) -> _Finding | None:
    """Rule 2: which rungs are dead when the run ends, and what the process shows meanwhile."""
    dead = {rung for rung, history in ladder.items() if _at_end(history, off_ns).ends_dead}
    found = _of_dead_rungs(seen, ladder, dead, off_ns, until_ns)
    if found is None:
        return None
    begin_ns = min(_last_streak_ns(ladder[rung]) for rung in dead)
    if found.kind is FailureKind.OVERLOAD:
        # answers were still arriving, and whoever asked was late himself
        ours = _limited(seen, [begin_ns]) if seen.bad_from_ns is None else None
        return ours or found
    window = window_of(
        seen.server,
        seen.thread,
        seen.log,
        (begin_ns, until_ns),
        silent=dead,
        answering=ladder.keys() - dead,
        loaded=off_ns is None and len(seen.attempts) > 0,
    )
    judged = judge(window)
    if judged is None or (judged.kind is not found.kind and judged.kind not in _TOLD_BY_PROCESS):
        return found
    when = "with the load off" if off_ns is not None else "at the end"
    if judged.kind is found.kind:
        tail = judged.rule.partition("went unanswered")[2]
        return _Finding(found.kind, found.rule + tail, judged.plugin or found.plugin, begin_ns)
    return _Finding(judged.kind, f"{judged.rule}, {when}", judged.plugin, begin_ns)


def _last_streak_ns(history: RungHistory) -> float:
    """When the first question was due of those that have gone unanswered since."""
    alive = np.flatnonzero(history.alive)
    return float(history.due_ns[min(alive[-1] + 1, len(history.due_ns) - 1)] if len(alive) else history.due_ns[0])


def _of_dead_rungs(
    seen: Evidence, ladder: dict[Rung, RungHistory], dead: set[Rung], off_ns: int | None, until_ns: float
) -> _Finding | None:
    """What the rungs alone say."""
    if not dead:
        return None
    when = "with the load off" if off_ns is not None else "at the end"
    # Rungs of a server that works off a long queue miss their deadlines too, long after the load is gone.
    if dead & {Rung.PING, *_WEBSOCKET_RUNGS} and Rung.TCP not in dead and _still_answering(seen, until_ns):
        rule = f"rungs of the ladder missed their deadlines {when}, but answers were still arriving"
        return _Finding(FailureKind.OVERLOAD, rule)
    if Rung.TCP in dead:
        return _Finding(FailureKind.UNREACHABLE, f"TCP connections were refused or unanswered {when}")
    websocket_dead = [rung for rung in _WEBSOCKET_RUNGS if rung in dead]
    if websocket_dead:
        rule = f"TCP connected but {' and '.join(websocket_dead)} went unanswered {when}"
        return _Finding(FailureKind.PROCESS_FROZEN, rule)
    core = [rung for rung in _CORE_RUNGS if rung in dead]
    if core:
        alive = " and ".join(_answering(ladder, dead, (*_WEBSOCKET_RUNGS, *_CORE_RUNGS))) or "no other rung"
        return _Finding(FailureKind.CORE_STUCK, f"{alive} answered but {' and '.join(core)} went unanswered {when}")
    plugin = [rung for rung in _PLUGIN_RUNGS if rung in dead]
    if plugin:
        alive = " and ".join(_answering(ladder, dead, _CORE_RUNGS)) or "the WebSocket"
        rule = f"{alive} answered but {' and '.join(plugin)} went unanswered {when}"
        return _Finding(FailureKind.PLUGIN_STUCK, rule, _PLUGIN)
    return None


def _at_end(history: RungHistory, off_ns: int | None) -> RungHistory:
    """What counts as the end: the time after the load went off, where it did."""
    return history if off_ns is None else history.since(off_ns)


def _still_answering(seen: Evidence, until_ns: float) -> bool:
    """Whether any request, however late, was answered shortly before the end."""
    recent_ns = until_ns - least_silence_s(seen.timeout_s) * 1e9
    # the transport takes new WebSockets, whatever is stuck behind it
    asked = seen.request[~seen.request["name"].astype(str).str.startswith("ws.")]
    return any(
        bool(((asked[column] >= recent_ns) & (asked[column] < until_ns)).any()) for column in ("answered_ns", "late_ns")
    )


def _answering(ladder: dict[Rung, RungHistory], dead: set[Rung], rungs: Sequence[Rung]) -> list[str]:
    return [str(rung) for rung in rungs if rung in ladder and rung not in dead]


def _was_stuck(ladder: dict[Rung, RungHistory], silences: Sequence[Silence], off_ns: int | None) -> _Finding | None:
    """Rule 3: stuck for a while, and free again by the end."""
    for silence in silences:
        if not silence.idle or not silence.trusted(off_ns):
            continue
        within = {rung: h.since(silence.begin_ns).until(silence.end_ns) for rung, h in ladder.items()}
        websocket = within.get(Rung.WS_PING)
        seconds = (silence.end_ns - silence.begin_ns) / 1e9
        if websocket is not None and len(websocket.alive) >= IN_A_ROW and websocket.alive.all():
            rule = (
                f"for {seconds:.0f} s ws_ping answered but no request did, and late answers show that it was no queue"
            )
            return _Finding(FailureKind.CORE_STUCK, rule, since_ns=silence.begin_ns, lasted_s=seconds)
        tcp = within.get(Rung.TCP)
        if websocket is not None and websocket.first_streak(True) is None and tcp is not None and tcp.ends_alive:
            rule = f"for {seconds:.0f} s TCP connected but ws_ping and every request went unanswered"
            return _Finding(FailureKind.PROCESS_FROZEN, rule, since_ns=silence.begin_ns, lasted_s=seconds)
    for rung, outer_rungs in _BEHIND.items():
        for begin_ns, end_ns in ladder[rung].silences() if rung in ladder else []:
            outer = [ladder[each].since(begin_ns).until(end_ns) for each in outer_rungs if each in ladder]
            under_load = off_ns is None or end_ns < off_ns
            if under_load and outer and all(len(h.alive) >= IN_A_ROW and h.alive.all() for h in outer):
                answered = " and ".join(each for each in outer_rungs if each in ladder)
                lasted_s = (end_ns - begin_ns) / 1e9
                rule = f"for {lasted_s:.0f} s {answered} answered but {rung} did not"
                if rung in _PLUGIN_RUNGS:
                    return _Finding(FailureKind.PLUGIN_STUCK, rule, _PLUGIN, begin_ns, lasted_s)
                return _Finding(FailureKind.CORE_STUCK, rule, since_ns=begin_ns, lasted_s=lasted_s)
    return None


def _came_back(seen: Evidence, ladder: dict[Rung, RungHistory], off_ns: int | None) -> _Finding:
    """Rule 4: everything answers at the end."""
    timeouts = int(seen.attempts.timed_out.sum())
    missed = {rung: history.first_streak(False) for rung, history in ladder.items()}
    missed.pop(Rung.MEDIA, None)  # audio that breaks off is no request that goes unanswered
    streaks = [ladder[rung].due_ns[first] for rung, first in missed.items() if first is not None]
    if seen.bad_from_ns is None and (limited := _limited(seen, streaks)) is not None:
        return limited
    if seen.bad_from_ns is not None or streaks:
        if seen.bad_from_ns is None and timeouts == 0:
            if (starved := _starved(seen, missed, float(min(streaks)))) is not None:
                return starved
            named = ", ".join(str(rung) for rung, first in missed.items() if first is not None)
            rule = f"no request timed out, but these rungs went unanswered for a while: {named}"
            return _Finding(FailureKind.OVERLOAD, rule, since_ns=float(min(streaks)))
        rule = "requests timed out under load"
        if ladder:
            rule += f", and every rung answered {'after it' if off_ns is not None else 'at the end'}"
        rule += "" if off_ns is not None else "; there was no recovery leg"
        return _Finding(FailureKind.OVERLOAD, rule)
    if seen.bad_was_ours:
        rule = "requests timed out only where the generator itself was the limit"
        return _Finding(FailureKind.GENERATOR_LIMITED, rule)
    if timeouts:
        judged = int(seen.attempts.judged.sum())
        rule = f"{timeouts} of {judged} attempts timed out, in no step credibly more than tolerated"
        return _Finding(FailureKind.NONE, rule)
    return _Finding(FailureKind.NONE, "no request timed out and every rung answered")


def _limited(seen: Evidence, streaks: Sequence[float]) -> _Finding | None:
    """Whether the generator was the limit for so long that the run tells nothing of the server, or for as long as rungs
    went unanswered."""
    marker = seen.marker.sort_values("t_ns", kind="stable")
    begins = marker[marker["kind"] == MarkerKind.LIMITED]
    ends_ns = marker["t_ns"][marker["kind"] == MarkerKind.LIMITED_END].to_numpy(np.int64)
    spans: list[tuple[float, float, str]] = []
    for t_ns, since_s, label in zip(begins["t_ns"], begins["value"].fillna(0.0), begins["label"], strict=True):
        after = ends_ns[ends_ns > t_ns]
        until_ns = float(after[0]) if len(after) else float(seen.last_ns)
        spans.append((float(t_ns) - since_s * 1e9, until_ns, str(label).partition(": ")[2]))
    if not spans or not all(any(begin <= streak <= end for begin, end, _ in spans) for streak in streaks):
        return None
    lasted_ns = sum(end - begin for begin, end, _ in spans)
    if not streaks and lasted_ns < _LIMITED_SHARE * (seen.last_ns - seen.begin_ns):
        return None
    rule = f"the generator itself was the limit for {lasted_ns / 1e9:.0f} s ({spans[0][2]})"
    return _Finding(FailureKind.GENERATOR_LIMITED, rule, since_ns=spans[0][0])


def _starved(seen: Evidence, missed: Mapping[Rung, int | None], begin_ns: float) -> _Finding | None:
    """Whether rungs went unanswered because the process got no CPU, though no stream asked for any."""
    if len(seen.attempts):
        return None
    silent = [rung for rung, first in missed.items() if first is not None]
    span_ns = (begin_ns, begin_ns + _BEFORE_THE_END_NS)
    judged = judge(window_of(seen.server, seen.thread, seen.log, span_ns, silent=silent))
    if judged is None or judged.kind is not FailureKind.CPU_STARVED:
        return None
    return _Finding(judged.kind, judged.rule, since_ns=begin_ns)


def _anything_dead(ladder: dict[Rung, RungHistory]) -> bool:
    return any(history.ends_dead for history in ladder.values())


def _recovered_after_s(marker: pd.DataFrame, ladder: dict[Rung, RungHistory], off_ns: int | None) -> float | None:
    """From the load going off to the first of three answers in a row, of `ping` and of `create`."""
    told = marker["value"][marker["kind"] == MarkerKind.RECOVERED].dropna()
    if len(told):
        return float(told.iloc[0])
    if off_ns is None:
        return None
    back_ns = []
    for rung in _CORE_RUNGS:
        if rung in ladder:
            leg = ladder[rung].since(off_ns)
            first = leg.first_streak(True)
            if first is None:
                return None
            back_ns.append(leg.answered_ns[first])
    return max(0.0, (float(np.nanmax(back_ns)) - off_ns) / 1e9) if back_ns else None


def _not_back(finding: _Finding, off_ns: int | None, watched: bool) -> str:
    """Why it is not known to have come back; that it did, and when, is not part of the rule."""
    if finding.kind in _WITHOUT_RECOVERY or finding.lasted_s is not None or off_ns is None:
        return ""
    return "; not back by the end of the recovery leg" if watched else "; no ladder watched whether it came back"


def _first_seen_s(seen: Evidence, ladder: dict[Rung, RungHistory], finding: _Finding) -> float | None:
    """The first sign: a dead rung, a stall that was marked, or the first timeout of the step that is credibly bad."""
    if finding.kind is FailureKind.NONE:
        return None
    signs: list[float] = [] if finding.since_ns is None else [float(finding.since_ns)]
    if (named := named_live(seen.marker, float("inf"))) is not None:
        signs.append(named.since_ns)
    for history in ladder.values():
        first = history.first_streak(False)
        if first is not None:
            signs.append(float(history.due_ns[first]))
    if seen.bad_from_ns is not None:
        late = seen.attempts.timed_out & (seen.attempts.due_ns >= seen.bad_from_ns)
        if late.any():
            signs.append(float(seen.attempts.sent_ns[late].min()) + seen.timeout_s * 1e9)
    return max(0.0, (min(signs) - seen.begin_ns) / 1e9) if signs else None
