"""What kind of failure a server shows: one pure rule for the live watch and for the analysis.

It is given the rungs of the ladder that answered and those that did not, and what was seen of the process meanwhile.
API symptoms alone do not identify a cause: a stuck disk looks like a deadlock. So the process decides where it can be
seen, and the rungs decide where it cannot. The first rule that fits:

1. The process is gone: out of descriptors, killed for memory, or crashed. It stands still: frozen.
2. It ran into a limit and said so: descriptors, threads.
3. Rungs are silent and threads wait for a disk: the writeback of dirty pages under a memory limit, or the disk itself.
4. Rungs are silent, no lock is waited for, and the process works or would if it were let: overload while there is load
   to work on, else starved of CPU. Not where TCP is silent and nothing that reached the process lies unread: see 5.
5. Rungs are silent, and the outermost silent one says what is stuck: TCP: unreachable; the WebSocket: the process, or
   the path if nothing lies unread in its sockets; `ping` or `create`: the core; only the plugin's: the plugin.
"""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from janusload.log_categories import LogCategory
from janusload.records import Rung, ServerRecord, ThreadRecord
from janusload.summary import FailureKind

WEBSOCKET_RUNGS = (Rung.WS_UPGRADE, Rung.WS_PING)
CORE_RUNGS = (Rung.PING, Rung.CREATE)
PLUGIN_RUNGS = (Rung.AUDIOBRIDGE_SYNC, Rung.AUDIOBRIDGE_ASYNC)
#: what a rung must answer for the API to work; media that breaks off is no request that goes unanswered
API_RUNGS = (*WEBSOCKET_RUNGS, *CORE_RUNGS, *PLUGIN_RUNGS)

#: of the CPU that it may use: a process that works this hard is slow, whatever it answers
BUSY_SHARE = 0.8
THROTTLED_SHARE = 0.2
#: of the memory limit: fuller than this the kernel has to reclaim
_FULL_SHARE = 0.85
#: dirty pages and those on their way, of the limit, from which on reclaim has to wait for the disk
_UNWRITTEN_SHARE = 0.2
#: the same, of what may wait in a group of version 2: from here on the kernel slows its writers down to the disk
_HELD_UP_SHARE = 0.75
_NEARLY_ALL = 0.75
#: so many of the last looks must have seen that all was read
_LOOKS = 4

_PLUGIN_FILES = "libjanus_"


class Finding(NamedTuple):
    """A kind of failure, and the rule that told it in words."""

    kind: FailureKind
    rule: str
    plugin: str | None = None


@dataclass(frozen=True)
class Window:
    """What was seen while rungs were silent (or over the last seconds, if none was).

    Attributes:
        silent: rungs that were asked and did not answer.
        answering: rungs that did.
        readings: of the process, oldest first; empty where it cannot be seen.
        threads: its threads at the same moments, each a list of groups; moments without any are left out.
        log: lines of the log by category.
        loaded: whether a stream of requests was on.
        log_silent: whether the log, which had lines before, gained none meanwhile.
        signal: what ended the process; None if it runs or if that is not known.
    """

    silent: frozenset[Rung] = frozenset()
    answering: frozenset[Rung] = frozenset()
    readings: Sequence[ServerRecord] = ()
    threads: Sequence[Sequence[ThreadRecord]] = ()
    log: Mapping[str, int] = field(default_factory=dict)
    loaded: bool = False
    signal: int | None = None
    log_silent: bool = False

    @property
    def limit_percent(self) -> float:
        """The CPU with which its request thread is busy, percent of a core: a core, or a quota of less."""
        return min(100.0, next((r.cpu_limit_percent for r in reversed(self.readings) if r.cpu_limit_percent), 100.0))

    @property
    def busy(self) -> bool:
        """Whether the process used what CPU it may use, or wanted to."""
        cpu = [r.cpu_percent for r in self.readings if r.cpu_percent is not None]
        throttled = [r.throttled_share for r in self.readings if r.throttled_share is not None]
        return bool(
            (cpu and median(cpu) > BUSY_SHARE * self.limit_percent)
            or (throttled and median(throttled) > THROTTLED_SHARE)
        )

    @property
    def idle(self) -> bool:
        """Whether the process was seen and was not busy."""
        return any(r.cpu_percent is not None for r in self.readings) and not self.busy and not self.waits_for_cpu

    @property
    def all_read(self) -> bool:
        """Whether for some looks nothing that came over TCP lay unread in the process's sockets, which was not stopped
        meanwhile; False where that cannot be seen."""
        unread = [r.tcp_unread_bytes for r in self.readings if r.tcp_unread_bytes is not None]
        stopped = any(r.state == "T" for r in self.readings)
        return len(unread) >= 2 and not any(unread[-_LOOKS:]) and not stopped

    @property
    def waits_for_cpu(self) -> bool:
        """Whether threads were ready to run at nearly every moment and yet ran little."""
        if not self.threads:
            return False
        ready = [any(group.state == "R" for group in moment) for moment in self.threads]
        cpu = [r.cpu_percent for r in self.readings if r.cpu_percent is not None]
        return len(ready) >= 2 and sum(ready) >= _NEARLY_ALL * len(ready) and bool(cpu) and median(cpu) < 50.0


class Lock(NamedTuple):
    """A lock that threads waited for at every moment that was looked at.

    Attributes:
        address: as in `0x7f8a5c48e120`.
        module: whose memory it lies in, as in `libjanus_audiobridge.so`; `heap` for a room's or a participant's.
        threads: how many waited at the last moment; `kinds` are theirs.
    """

    address: str
    module: str
    threads: int
    kinds: tuple[str, ...]

    @property
    def plugin(self) -> str | None:
        """Short name of the plugin whose static lock it is; None for others."""
        if not self.module.startswith(_PLUGIN_FILES):
            return None
        return self.module.removeprefix(_PLUGIN_FILES).partition(".")[0]


def judge(window: Window) -> Finding | None:
    """The kind of failure; None where there is none."""
    return _of_process(window) or _of_limits(window) or _of_rungs(window)


def locks_of(threads: Sequence[Sequence[ThreadRecord]]) -> list[Lock]:
    """Locks that were waited for at each of the moments (two at least), the most wanted first."""
    if len(threads) < 2:
        return []
    waiting = [Counter[str]() for _ in threads]
    kinds: dict[str, set[str]] = {}
    for count, moment in zip(waiting, threads, strict=True):
        for group in moment:
            if group.waits_for.startswith("lock "):
                count[group.waits_for] += group.threads
                kinds.setdefault(group.waits_for, set()).add(group.kind)
    lasting = set.intersection(*(set(count) for count in waiting))
    found = []
    for words in lasting:
        _, address, module = words.split(" ", 2)
        found.append(Lock(address, module, waiting[-1][words], tuple(sorted(kinds[words]))))
    return sorted(found, key=lambda lock: (-(lock.plugin is not None), -lock.threads, lock.address))


# -- 1: the process --------------------------------------------------------------------------------------------------


def _of_process(window: Window) -> Finding | None:
    if not window.readings:
        return None
    before = [r for r in window.readings if r.state != ""]
    if window.readings[-1].state == "" and (before or window.signal is not None):
        return _gone(window, before)
    stopped = [r.state == "T" for r in window.readings]  # t is a debugger's doing
    if stopped[-1] and sum(stopped) >= min(2, len(stopped)):
        words = f"state T in {sum(stopped)} of {len(stopped)} readings"
        return Finding(FailureKind.PROCESS_FROZEN, f"the Janus process was stopped ({words})")
    if window.threads and all(_all_frozen(moment) for moment in window.threads):
        return Finding(FailureKind.PROCESS_FROZEN, "every thread of Janus sits in the kernel's freezer")
    return None


def _all_frozen(moment: Sequence[ThreadRecord]) -> bool:
    return bool(moment) and all(group.waits_for == "frozen" for group in moment)


def _gone(window: Window, before: Sequence[ServerRecord]) -> Finding:
    how = "the Janus process is gone"
    if window.signal is not None:
        how += f" ({_signal_words(window.signal)})"
    if window.log.get(LogCategory.EMFILE):
        return Finding(FailureKind.FDS, f"{how}, and its log says that it ran out of file descriptors")
    last = before[-1] if before else None
    if last is not None:
        if last.fds is not None and last.fds_limit is not None and last.fds >= last.fds_limit - 3:
            return Finding(FailureKind.FDS, f"{how}; it had {last.fds} of {last.fds_limit} file descriptors open")
        kills = [r.oom_kills for r in window.readings if r.oom_kills is not None]
        full = next((r for r in reversed(before) if _unwritten(r) and _full(r)), None)
        if window.signal in (None, signal.SIGKILL) and full is not None:
            return Finding(
                FailureKind.MEMORY_WRITEBACK,
                f"{how}; {_mb(full.cgroup_dirty_bytes)} of dirty pages and {_mb(full.cgroup_writeback_bytes)} on their"
                f" way to the disk filled its memory limit of {_mb(full.cgroup_limit_bytes)}",
            )
        if len(kills) > 1 and kills[-1] > kills[0]:
            return Finding(FailureKind.CRASHED, f"{how}: the kernel killed it for memory")
    return Finding(FailureKind.CRASHED, how)


def _signal_words(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# -- 2: limits -------------------------------------------------------------------------------------------------------


def _of_limits(window: Window) -> Finding | None:
    if lines := window.log.get(LogCategory.EMFILE):
        return Finding(FailureKind.FDS, f"Janus logged {_lines(lines)} about too many open files")
    if lines := window.log.get(LogCategory.THREAD_FAIL):
        return Finding(FailureKind.THREADS, f"Janus logged {_lines(lines)} about threads that it could not start")
    last = window.readings[-1] if window.readings else None
    if last is None:
        return None
    if last.fds is not None and last.fds_limit is not None and last.fds >= last.fds_limit - 1:
        return Finding(FailureKind.FDS, f"Janus has {last.fds} of {last.fds_limit} file descriptors open")
    if last.threads is not None and last.threads_limit is not None and last.threads >= last.threads_limit:
        return Finding(FailureKind.THREADS, f"Janus has {last.threads} of {last.threads_limit} threads")
    return None


# -- 3 to 5: silent rungs --------------------------------------------------------------------------------------------


def _of_rungs(window: Window) -> Finding | None:
    silent = _consistent(window)
    if not silent:
        return None
    locks = locks_of(window.threads)
    disk = _disk(window)
    if disk is not None:
        return disk
    contended = [lock for lock in locks if lock.threads >= 2 or lock.plugin is not None]
    # a server without CPU leaves unread what reaches it; the kernel takes connections without the server
    cut_off = Rung.TCP in silent and window.all_read
    if not contended and not cut_off and (starved := _cpu(window)) is not None:
        return starved
    words = _and(silent)
    heard = _and(window.answering & {Rung.TCP, *API_RUNGS}) or "no other rung"
    if Rung.TCP in silent:
        there = " although the process is there" if window.readings else ""
        return Finding(FailureKind.UNREACHABLE, f"TCP connections were refused or unanswered{there}")
    why = _why(contended, window)
    in_websocket = [lock for lock in contended if "ws thread" in lock.kinds]
    if silent & {*WEBSOCKET_RUNGS} and not in_websocket:
        if window.all_read:
            rule = f"{words} went unanswered, although Janus has read all that reached it: it is the path"
            return Finding(FailureKind.UNREACHABLE, rule)
        return Finding(FailureKind.PROCESS_FROZEN, f"TCP connected but {words} went unanswered{why}")
    plugin = next((lock.plugin for lock in contended if lock.plugin is not None), None)
    if silent & {*CORE_RUNGS, *WEBSOCKET_RUNGS}:
        return Finding(FailureKind.CORE_STUCK, f"{heard} answered but {words} went unanswered{why}", plugin)
    return Finding(FailureKind.PLUGIN_STUCK, f"{heard} answered but {words} went unanswered{why}", "audiobridge")


def _consistent(window: Window) -> frozenset[Rung]:
    """Silent rungs, without those that others which pass through them contradict: then it was a lost answer."""
    silent = window.silent & {Rung.TCP, *API_RUNGS}
    if window.answering & {*CORE_RUNGS, *PLUGIN_RUNGS}:
        silent -= {Rung.TCP, *WEBSOCKET_RUNGS}
    if Rung.CREATE in window.answering:
        silent -= {Rung.PING}
    return silent


def _why(locks: Sequence[Lock], window: Window) -> str:
    parts = []
    for lock in locks[:2]:
        whose = f"of {lock.module}" if lock.module != "heap" else "of a room or participant"
        threads = "1 thread waits" if lock.threads == 1 else f"{lock.threads} threads wait"
        parts.append(f"{threads} for the lock {lock.address} {whose}")
    last = window.threads[-1] if window.threads else ()
    opening = sum(group.threads for group in last if group.waits_for.startswith("open "))
    if opening:
        parts.append(f"{opening} in the opening of a file")
    spinning = sum(group.threads for group in last if group.kind == "hloop" and group.waits_for == "sleep")
    if spinning and locks:
        parts.append(f"{spinning} media loop sleeps and tries again")
    if window.log_silent:
        parts.append("its log has fallen silent")
    return "; " + ", ".join(parts) if parts else ""


def _disk(window: Window) -> Finding | None:
    last = window.readings[-1] if window.readings else None
    if not window.threads and last is not None and _choked(last) and _written_back(last) and not window.busy:
        # whoever would look at the threads may have to wait with them
        return Finding(
            FailureKind.MEMORY_WRITEBACK,
            f"{_and(window.silent)} went unanswered, while {_mb(last.cgroup_writeback_bytes)} on their way to the disk"
            f" fill the memory limit of {_mb(last.cgroup_limit_bytes)}",
        )
    if len(window.threads) < 2:
        return None
    waiting = [
        {group.waits_for: group.threads for group in moment if group.waits_for.startswith("disk")}
        for moment in window.threads
    ]
    if sum(map(bool, waiting)) < _NEARLY_ALL * len(waiting) or not waiting[-1]:
        return None
    count = sum(waiting[-1].values())
    threads = f"{count} thread{'s' * (count > 1)} in state D"
    what = _and(words.removeprefix("disk").strip() for words in waiting[-1])
    where = f" ({what})" if what else ""
    if last is not None and _choked(last):
        what_full = (
            f"fill the memory limit of {_mb(last.cgroup_limit_bytes)}"
            if _full(last)
            else f"use up the {_mb(last.cgroup_dirty_limit_bytes)} that may wait for the disk in its memory limit"
        )
        return Finding(
            FailureKind.MEMORY_WRITEBACK,
            f"{threads}{where}, and {_mb(last.cgroup_writeback_bytes)} on their way to the disk and"
            f" {_mb(last.cgroup_dirty_bytes)} of dirty pages {what_full}",
        )
    return Finding(FailureKind.DISK_STUCK, f"{_and(window.silent)} went unanswered, with {threads}{where}")


def _cpu(window: Window) -> Finding | None:
    if not window.busy and not window.waits_for_cpu:
        return None
    last = next((r.cpu_percent for r in reversed(window.readings) if r.cpu_percent is not None), 0.0)
    throttled = next((r.throttled_share for r in reversed(window.readings) if r.throttled_share is not None), None)
    words = f"Janus used {last:.0f} % of a core"
    if throttled:
        words += f", throttled by its quota in {throttled:.0%} of the periods"
    elif window.waits_for_cpu and not window.busy:
        words += " although threads were ready to run all the time"
    missed = f"{_and(window.silent)} missed their deadlines"
    if window.loaded:
        return Finding(FailureKind.OVERLOAD, f"{missed} while {words}")
    return Finding(FailureKind.CPU_STARVED, f"{missed} without a stream of requests, while {words}")


def _choked(reading: ServerRecord) -> bool:
    """Whether what waits for the disk leaves no room for more: then who writes waits with it."""
    most = reading.cgroup_dirty_limit_bytes
    if most is not None and most and _waiting(reading) >= _HELD_UP_SHARE * most:
        return True
    return _full(reading) and _unwritten(reading)


def _waiting(reading: ServerRecord) -> int:
    return (reading.cgroup_dirty_bytes or 0) + (reading.cgroup_writeback_bytes or 0)


def _full(reading: ServerRecord) -> bool:
    used, limit = reading.cgroup_bytes, reading.cgroup_limit_bytes
    return used is not None and limit is not None and used >= _FULL_SHARE * limit


def _unwritten(reading: ServerRecord) -> bool:
    limit = reading.cgroup_limit_bytes
    return limit is not None and _waiting(reading) >= _UNWRITTEN_SHARE * limit


def _written_back(reading: ServerRecord) -> bool:
    limit = reading.cgroup_limit_bytes
    return limit is not None and (reading.cgroup_writeback_bytes or 0) >= _UNWRITTEN_SHARE * limit


def _mb(value: int | None) -> str:
    return "?" if value is None else f"{value / 1e6:.0f} MB"


def _lines(count: int) -> str:
    return "a line" if count == 1 else f"{count} lines"


def _and(words: object) -> str:
    found = sorted(str(word) for word in words if word)  # type: ignore[attr-defined]
    order = {str(rung): index for index, rung in enumerate(Rung)}
    found.sort(key=lambda word: order.get(word, 99))
    return " and ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
