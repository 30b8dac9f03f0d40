"""The threads of a Janus process: of which kind, in which state, and what those that wait are waiting for.

No debug symbols are needed. The number of the system call that a thread is in, and its arguments, tell a contended lock
(GLib's GMutex and glibc's mutex wait with the value 2) from a healthy wait for work; the address of the lock lies in a
module's data or on the heap. Threads in state D are named by what the kernel says they wait for. All of it takes root
or the same user; without that, only names and states are seen, and `blind` says so.
"""

from __future__ import annotations

import os
import platform
import re
from bisect import bisect_right
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from janusload.records import ThreadRecord
from janusload.server.bounded import Bounded

_FUTEX_WAIT = 0
_FUTEX_COMMAND = 0x7F
_CONTENDED = 2

#: (futex, sleeps, opens) by machine
_SYSCALLS: dict[str, tuple[int, frozenset[int], frozenset[int]]] = {
    "x86_64": (202, frozenset({35, 230}), frozenset({2, 257})),
    "aarch64": (98, frozenset({101, 115}), frozenset({56})),
}
_FUTEX, _SLEEPS, _OPENS = _SYSCALLS.get(platform.machine(), (-1, frozenset(), frozenset()))

_MAP_WITHIN_S = 0.15

#: the scheduler's own names of waits that are no disk although the state is D
_FREEZERS = ("refrigerator", "freezer")


class Thread(NamedTuple):
    """One thread.

    Attributes:
        name: as the kernel has it, at most 15 characters.
        kind: what Janus uses threads of such a name for.
        state: one letter as in /proc/PID/stat.
        waits_for: `lock ADDRESS MODULE`, `disk WHAT`, `frozen`, `open WHAT`, `sleep`, or empty.
    """

    number: int
    name: str
    kind: str
    state: str
    waits_for: str


class ThreadTable(NamedTuple):
    """All threads at a moment.

    Attributes:
        blind: whether what they wait for could not be seen.
        groups: in place of `threads`, where an agent told of groups only.
    """

    t_ns: int
    threads: list[Thread]
    blind: bool
    groups: list[ThreadRecord] | None = None

    def records(self) -> list[ThreadRecord]:
        """One record for each group of threads that are alike."""
        if self.groups is not None:
            return self.groups
        groups = Counter((thread.kind, thread.state, thread.waits_for) for thread in self.threads)
        return [
            ThreadRecord(self.t_ns, kind, state, waits, count) for (kind, state, waits), count in sorted(groups.items())
        ]


def kind_of(name: str) -> str:
    """What Janus uses a thread of this name for; long names fail to be set and stay `janus`."""
    first, _, rest = name.partition(" ")
    if first in ("hloop", "rtp", "mp", "help"):
        return first
    if first == "mixer":
        return "participant" if " " in rest else "mixer"
    if first == "SCTP" or name.startswith("SCTP/"):
        return "sctp"
    if name in ("janus", "log", "ws thread", "http timer", "MHD-single", "nosip handler", "gmain", "pool-janus"):
        return name
    return "pool" if name.startswith("pool-") else "other"


class ThreadWatch:
    """Reads the threads of one process."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._modules = Modules(pid)

    def read(self, now_ns: int) -> ThreadTable:
        """All threads now; those that end while they are read are left out.

        Raises:
            OSError: the process is gone.
        """
        folder = f"/proc/{self._pid}/task"
        threads: list[Thread] = []
        blind = False
        for number in sorted(map(int, filter(str.isdigit, os.listdir(folder)))):
            try:
                thread, seen = self._read_one(f"{folder}/{number}", number)
            except (OSError, IndexError, ValueError):
                continue
            threads.append(thread)
            blind |= not seen
        return ThreadTable(now_ns, _without_lone_waiters(threads), blind)

    def close(self) -> None:
        """Read no more."""
        self._modules.close()

    def _read_one(self, folder: str, number: int) -> tuple[Thread, bool]:
        # The name may hold anything, parentheses and blanks included.
        head, _, tail = _read(f"{folder}/stat").rpartition(")")
        name = "".join(c if c.isprintable() else "?" for c in head.partition("(")[2])
        state = tail.split()[0]
        waits, seen = "", True
        if state == "D":
            what = _wchan(folder)
            waits = "frozen" if any(word in what for word in _FREEZERS) else f"disk {what}".rstrip()
        elif state == "S":
            try:
                waits = self._waiting(folder, _read(f"{folder}/syscall"))
            except PermissionError:
                seen = False
        return Thread(number, name, kind_of(name), state, waits), seen

    def _waiting(self, folder: str, text: str) -> str:
        words = text.split()
        if not words or not words[0].isdigit():
            return ""  # "running", or -1 outside a system call
        call = int(words[0])
        if call == _FUTEX:
            address, operation, value, timeout = (int(word, 16) for word in words[1:5])
            # A lock is waited for without a timeout; conditions have values of their own, but may happen to have 2.
            if operation & _FUTEX_COMMAND == _FUTEX_WAIT and value & 0xFFFFFFFF == _CONTENDED and not timeout:
                return f"lock {address:#x} {self._modules.name_at(address)}"
            return ""
        if call in _SLEEPS:
            return "sleep"
        if call in _OPENS:
            return f"open {_wchan(folder)}".rstrip()
        return "frozen" if "freezer" in _wchan(folder) else ""


def _without_lone_waiters(threads: list[Thread]) -> list[Thread]:
    """Somewhere on the heap a single thread may well wait for work with the value 2; for a lock several do."""
    waiters = Counter(thread.waits_for for thread in threads)
    return [
        thread._replace(waits_for="")
        if thread.waits_for.startswith("lock ")
        and waiters[thread.waits_for] == 1
        and not thread.waits_for.endswith(".so")
        else thread
        for thread in threads
    ]


class Modules:
    """Which file's memory an address lies in (/proc/PID/maps).

    Reading the map waits for a lock of the process's memory, which a process that waits for a disk may hold for long.
    So it is read only where an address is in no span that is known, and not waited for longer than it is given.
    """

    def __init__(self, pid: int) -> None:
        self._starts: list[int] = []
        self._spans: list[tuple[int, str]] = []
        self._map = Bounded("memory map", lambda: _read(f"/proc/{pid}/maps"), within_s=_MAP_WITHIN_S)

    def name_at(self, address: int) -> str:
        """As in `libjanus_audiobridge.so`; `heap` for memory without a name, `?` if that cannot be seen (in time)."""
        name = self._find(address)
        if name == "?" and (text := self._map.collect()) is not None:
            self._starts, self._spans = parse_maps(text)
            name = self._find(address)
        return name

    def close(self) -> None:
        self._map.close()

    def _find(self, address: int) -> str:
        at = bisect_right(self._starts, address) - 1
        if at < 0 or address >= self._spans[at][0]:
            return "?"
        return self._spans[at][1] or "heap"


def parse_maps(text: str) -> tuple[list[int], list[tuple[int, str]]]:
    """Starts, and (end, module) of every span. The .bss behind a module has no name: it belongs to what it touches."""
    starts: list[int] = []
    spans: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+\s*(.*)", line)
        if match is None:
            continue
        start, end = int(match[1], 16), int(match[2], 16)
        name = _module(match[4])
        if not name and match[3].startswith("rw") and spans and spans[-1][0] == start and ".so" in spans[-1][1]:
            name = spans[-1][1]
        starts.append(start)
        spans.append((end, name))
    return starts, spans


def _module(path: str) -> str:
    """`libjanus_audiobridge.so` of `/usr/lib/x/libjanus_audiobridge.so.2.0.3 (deleted)`."""
    if path.startswith("["):
        return "heap" if path == "[heap]" else ""
    name = re.sub(r"(\.so)(\.[\d.]+)?( \(deleted\))?$", r"\1", Path(path).name)
    return "".join(c if c.isprintable() and c != " " else "?" for c in name)[:80]


def _wchan(folder: str) -> str:
    try:
        what = _read(f"{folder}/wchan").strip()
    except OSError:
        return ""
    return what if re.fullmatch(r"[A-Za-z_]\w{0,79}", what) else ""


def _read(path: str) -> str:
    """A file of /proc, without what Python puts around it: this is called for every thread every second."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        while piece := os.read(fd, 1 << 16):
            data += piece
        return data.decode("utf-8", errors="replace")
    finally:
        os.close(fd)
