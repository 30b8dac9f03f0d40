"""Notices a stall while it happens: from the ladder's notices and the looks at the server, with `verdict.judge`.

Pure: told what happens and when, it never reads a clock. A rung is silent when two of its questions are overdue and
nothing has come since; with one question a second, overdue after 0.75 s, that is known within three seconds of the
beginning. A mere slow server is never called stuck: then the process must have been seen not to be busy, or a lock to
be waited for. Where the process cannot be seen it takes five seconds in which no answer of any kind came.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from janusload.records import LogRecord, Rung, ServerRecord, ThreadRecord
from janusload.summary import FailureKind
from janusload.verdict import API_RUNGS, CORE_RUNGS, PLUGIN_RUNGS, Finding, Window, judge, locks_of

SILENT_AFTER = 2
#: a server that cannot be seen may be slow: this long it must have said nothing
_UNSEEN_S = 5.0
#: a look from before the silence tells of a server that still worked
_KEPT_S = 30.0

#: told in words, but no stall: the server works off what it is asked
WORKING = (FailureKind.OVERLOAD,)
_TRANSIENT_S = 2.0
_STARVED_S = 5.0
#: an answer that took no longer is in time: as long as the ladder waits until it calls a question overdue
_IN_TIME_NS = 750_000_000
_LOG_LAG_NS = 1_200_000_000
_SPOKE_NS = 10_000_000_000
#: answers that were on their way when the process was looked at
_AFTER_ALL_NS = 500_000_000
#: of kinds that grow into each other, the lesser ones: a path that comes back lets TCP through first
_RANK = {
    FailureKind.OVERLOAD: 0,
    FailureKind.CPU_STARVED: 0,
    FailureKind.PLUGIN_STUCK: 1,
    FailureKind.CORE_STUCK: 2,
    FailureKind.PROCESS_FROZEN: 3,
}

#: what a process may die of
_DEADLY = (FailureKind.MEMORY_WRITEBACK, FailureKind.FDS)

#: rungs that must be known to answer, or not to, before something further in is blamed
_OUTER = {FailureKind.PLUGIN_STUCK: (Rung.WS_PING, *CORE_RUNGS), FailureKind.CORE_STUCK: (Rung.WS_PING,)}


@dataclass
class _RungState:
    overdue: list[int] = field(default_factory=list)
    answered_ns: int | None = None
    asked: bool = False
    slow: bool = False


@dataclass(frozen=True)
class Stall:
    """A stall that was found.

    Attributes:
        since_ns: the first question that went unanswered, or the first reading that shows it.
        found_ns: when it was named.
    """

    finding: Finding
    since_ns: int
    found_ns: int


class StallWatch:
    """Told of notices and looks, it says when a stall begins, changes or ends.

    Attributes:
        stall: the one that lasts; None while there is none.
        contradiction: whether the process is said to be gone or stopped although Janus answers.
        suspicious: whether something is overdue, so that a look now is worth its cost.
        believed: whether silence of the ladder tells of the server; not while whoever asks is itself too late. Then
            only what the process shows is named.
    """

    def __init__(self) -> None:
        self.stall: Stall | None = None
        self._loaded = False
        self._behind: set[Rung] = set()
        self.believed = True
        self.signal: int | None = None
        self.contradiction = False
        self._doubted = False
        self._same_since_ns = 0
        self._rungs: dict[Rung, _RungState] = {}
        self._readings: deque[ServerRecord] = deque(maxlen=64)
        self._threads: deque[list[ThreadRecord]] = deque(maxlen=64)
        self._log: deque[LogRecord] = deque(maxlen=400)
        self._last_answer_ns = 0
        self._api_answers_ns: deque[int] = deque(maxlen=64)
        self._excused: list[tuple[int, int]] = []

    @property
    def loaded(self) -> bool:
        """Whether a stream of requests is on, or what it left behind is still being worked off."""
        return self._loaded or bool(self._behind)

    @loaded.setter
    def loaded(self, on: bool) -> None:
        if self._loaded and not on:
            self._behind = {
                rung for rung, state in self._rungs.items() if rung is not Rung.MEDIA and (state.overdue or state.slow)
            }
        self._loaded = on

    @property
    def suspicious(self) -> bool:
        return any(state.overdue for rung, state in self._rungs.items() if rung is not Rung.MEDIA)

    def notice(self, rung: Rung, due_ns: int, at_ns: int, state: str) -> None:
        """The ladder's news of a rung: see `load/probes.Notice`."""
        known = self._rungs.setdefault(rung, _RungState())
        if state == "answered":
            # a question from before that is only refused now by the closing of its connection is no answer
            known.overdue.clear()
            known.answered_ns = at_ns
            known.slow = at_ns - due_ns > _IN_TIME_NS
            if not known.slow:
                self._behind.discard(rung)
            if rung in API_RUNGS:
                self._api_answers_ns.append(at_ns)
            if rung is not Rung.TCP:  # the kernel takes connections for whoever stands still
                self._last_answer_ns = max(self._last_answer_ns, at_ns)
            known.asked = True
        elif due_ns not in known.overdue and not self._is_excused(due_ns):
            known.overdue.append(due_ns)
            del known.overdue[:-200]

    def excuse(self, begin_ns: int, end_ns: int) -> None:
        """Let the questions not count that were due from then to then: a debugger of ours had stopped the server."""
        self._excused = [*self._excused[-9:], (begin_ns, end_ns)]
        for known in self._rungs.values():
            known.overdue = [due_ns for due_ns in known.overdue if not self._is_excused(due_ns)]

    def _is_excused(self, due_ns: int) -> bool:
        return any(begin_ns <= due_ns <= end_ns for begin_ns, end_ns in self._excused)

    def look(self, server: ServerRecord | None, threads: list[ThreadRecord] | None, log: Iterable[LogRecord]) -> None:
        """What was seen of the server."""
        if server is not None:
            self._believe(server)
            self._readings.append(server)
            self._threads.append(threads or [])
        self._log.extend(log)

    def judge(self, now_ns: int) -> Stall | None:
        """The stall as of now: a new one, one of another kind, or the one that lasts; None if there is none."""
        silent = self._silent()
        since_ns = min((self._rungs[rung].overdue[0] for rung in silent), default=now_ns)
        window = self._window(silent, since_ns, now_ns)
        finding = judge(window)
        if finding is not None and self._contradicted(finding, window):
            window = replace(window, readings=(), threads=())
            finding = judge(window)
        if finding is not None and not self._sure(finding, window, since_ns, now_ns):
            finding = None
        if finding is not None and not self.believed and not _shown_by_process(finding, window):
            finding = None
        if finding is None:
            return None if not silent else self.stall
        if self.stall is not None and finding.kind is not self.stall.finding.kind and self._lesser(finding):
            return self.stall
        if silent or self.stall is None:
            core = [self._rungs[rung].overdue[0] for rung in silent - {*PLUGIN_RUNGS}]
            if finding.kind is FailureKind.CORE_STUCK and core:
                since_ns = min(core)  # it may have begun in a plugin, before
            begun_ns = since_ns if silent else self._first_sign(finding, window, now_ns)
        else:
            begun_ns = self.stall.since_ns
        if self.stall is not None and self.stall.finding.kind is finding.kind:
            return self.stall
        return Stall(finding, begun_ns, now_ns)

    def _believe(self, server: ServerRecord) -> None:
        """Has Janus answered between two looks that show it gone or stopped? Then it is another process, or a lie.

        An answer that came after the last look is none: it may have gone on since, or been started anew.
        """
        before = self._readings[-1].state if self._readings else None
        if server.state != before:
            self.contradiction = False
            self._doubted = self._doubted and before != ""  # who was started anew has answered
            self._same_since_ns = server.t_ns
        if server.state in ("", "T"):
            first_ns = self._same_since_ns + _AFTER_ALL_NS
            # not the last ones alone: what an agent saw is told up to a second later
            if any(first_ns < answered_ns < server.t_ns for answered_ns in self._api_answers_ns):
                self.contradiction = self._doubted = True

    def _contradicted(self, finding: Finding, window: Window) -> bool:
        """Whether the finding rests on what the process is said to be, and Janus answers."""
        state = window.readings[-1].state if window.readings else None
        return self.contradiction and state in ("", "T") and finding.kind is not FailureKind.UNREACHABLE

    def _lesser(self, finding: Finding) -> bool:
        """Whether it is only a part of the stall that lasts: rungs do not all come back at once."""
        assert self.stall is not None
        if finding.kind is FailureKind.CRASHED:
            return self.stall.finding.kind in _DEADLY  # what it died of is known
        if finding.kind is FailureKind.UNREACHABLE:
            # the next one is there, and does not listen yet
            return self.stall.finding.kind in (FailureKind.CRASHED, *_DEADLY)
        return _RANK.get(finding.kind, 9) < _RANK.get(self.stall.finding.kind, 9)

    def _silent(self) -> frozenset[Rung]:
        return frozenset(
            rung
            for rung, state in self._rungs.items()
            # a plugin that never answered is not there; TCP takes nothing but a listening process
            if len(state.overdue) >= SILENT_AFTER
            and (state.asked or rung is Rung.TCP)
            # no verdict rests on media alone: users whose network is bad are no stall
            and rung is not Rung.MEDIA
        )

    def _window(self, silent: frozenset[Rung], since_ns: int, now_ns: int) -> Window:
        begin_ns = since_ns if silent else now_ns - round(2.5e9)
        readings = [each for each in self._readings if each.t_ns >= begin_ns]
        threads = [
            moment
            for each, moment in zip(self._readings, self._threads, strict=True)
            if each.t_ns >= begin_ns and moment
        ]
        if readings and readings[-1].state == "":  # what it looked like before it went says why
            readings = [each for each in self._readings if each.t_ns >= now_ns - _KEPT_S * 1e9]
        log: Counter[str] = Counter()
        for record in self._log:
            if record.t_ns >= begin_ns - 3e9:
                log[record.category] += record.lines
        answering = frozenset(
            rung for rung, state in self._rungs.items() if state.asked and not state.overdue and rung not in silent
        )
        lines = [record.t_ns for record in self._log]
        # what was logged just before the silence is read a moment later
        quiet = bool(lines) and lines[-1] < begin_ns + _LOG_LAG_NS and now_ns - begin_ns > _LOG_LAG_NS
        spoke = any(begin_ns - _SPOKE_NS <= moment < begin_ns + _LOG_LAG_NS for moment in lines)
        return Window(silent, answering, readings, threads, log, self.loaded, self.signal, quiet and spoke)

    def _sure(self, finding: Finding, window: Window, since_ns: int, now_ns: int) -> bool:
        """Whether what was seen is enough to name it."""
        if any(self._undecided(rung, window) for rung in _OUTER.get(finding.kind, ())):
            return False
        if self._doubted and not window.silent and finding.kind in (FailureKind.CRASHED, FailureKind.PROCESS_FROZEN):
            return False  # what is looked at was another process before
        if finding.kind is FailureKind.PROCESS_FROZEN and not self.suspicious:
            return False  # who stands still leaves a question open; else another process was looked at
        if finding.kind in (FailureKind.CRASHED, FailureKind.FDS, FailureKind.THREADS) or not window.silent:
            return True
        if finding.kind in (FailureKind.OVERLOAD, FailureKind.CPU_STARVED):
            least_s = _STARVED_S if finding.kind is FailureKind.CPU_STARVED else _TRANSIENT_S
            return now_ns - since_ns >= least_s * 1e9
        if finding.kind in (FailureKind.PROCESS_FROZEN, FailureKind.DISK_STUCK, FailureKind.MEMORY_WRITEBACK):
            if window.readings and window.readings[-1].state in ("T",):
                return True
            tcp = self._rungs.get(Rung.TCP)
            if tcp is not None and Rung.TCP not in window.silent and (tcp.answered_ns or 0) < since_ns:
                return False  # a connection in the making tells for a second or two nothing of how far it got
            if finding.kind is not FailureKind.PROCESS_FROZEN:
                return True
        if finding.kind is FailureKind.UNREACHABLE:
            return True
        if any(lock.threads >= 2 or lock.plugin for lock in locks_of(window.threads)) or window.idle:
            return True
        heard = self._last_answer_ns if window.silent >= {*API_RUNGS} & self._rungs.keys() else 0
        return not window.readings and now_ns - max(since_ns, heard) >= _UNSEEN_S * 1e9

    def _undecided(self, rung: Rung, window: Window) -> bool:
        """Whether a question to it is overdue, but not enough of them to call it silent."""
        state = self._rungs.get(rung)
        return state is not None and bool(state.overdue) and rung not in window.silent

    def _first_sign(self, finding: Finding, window: Window, now_ns: int) -> int:
        if finding.kind is FailureKind.PROCESS_FROZEN:
            return next((each.t_ns for each in window.readings if each.state in ("T",)), now_ns)
        if window.readings and window.readings[-1].state == "":
            return next((each.t_ns for each in window.readings if each.state == ""), now_ns)
        return now_ns


def _shown_by_process(finding: Finding, window: Window) -> bool:
    """Whether the process shows it, whatever the ladder says."""
    if finding.kind in (FailureKind.PLUGIN_STUCK, FailureKind.CORE_STUCK):
        return any(lock.threads >= 2 or lock.plugin for lock in locks_of(window.threads))
    if finding.kind is FailureKind.PROCESS_FROZEN:
        return judge(replace(window, silent=frozenset(), answering=frozenset())) is not None
    return finding.kind not in (FailureKind.UNREACHABLE, FailureKind.CPU_STARVED, FailureKind.OVERLOAD)
