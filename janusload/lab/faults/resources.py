"""Faults of what the process may have: CPU, memory, open files, threads, UDP ports."""

from __future__ import annotations

import itertools
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

from janusload.errors import LabError
from janusload.lab.commands import uninterrupted
from janusload.lab.faults.process import alive_afterwards
from janusload.lab.instance import Lab
from janusload.lab.limits import Limits

#: holds the UDP ports of a range but the last few, until its standard input ends: ADDRESS FIRST LAST LEFT
_HOLD_PORTS = """
import socket, sys
address, first, last, left = sys.argv[1], *map(int, sys.argv[2:])
held, free = [], 0
for port in range(first, last + 1):
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        one.bind((address, port))
    except OSError:
        one.close()
        continue
    free += 1
    if free > left:
        held.append(one)
    else:
        one.close()
print(len(held), flush=True)
sys.stdin.read()
"""


@contextmanager
def cpu(lab: Lab, percent: float = 1.0) -> Iterator[None]:
    """A CPU quota in percent of one core, for the process as it runs."""
    with _limited(lab, Limits(cpu_percent=percent, pid=lab.pid)):
        yield


@contextmanager
def memory(lab: Lab, above_bytes: int = 8 << 20) -> Iterator[None]:
    """A memory limit, so many bytes above the resident memory that it has now; the page cache counts too."""
    with open(f"/proc/{lab.pid}/statm", encoding="ascii") as statm:
        resident_bytes = int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    with alive_afterwards(lab), _limited(lab, Limits(memory_bytes=resident_bytes + above_bytes, pid=lab.pid)):
        yield


@contextmanager
def few_threads(lab: Lab, more: int = 0) -> Iterator[None]:
    """So many more threads than it has now, and no more (the control group `pids`)."""
    threads = len(os.listdir(f"/proc/{lab.pid}/task"))
    with alive_afterwards(lab), _limited(lab, Limits(threads=threads + more, pid=lab.pid)):
        yield


@contextmanager
def few_fds(lab: Lab, more: int = 0) -> Iterator[None]:
    """So many more open files than it has now, and no more; GLib ends the process when it finds none (SIGTRAP)."""
    pid = lab.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = {int(number) for number in os.listdir(f"/proc/{pid}/fd")}
    # The limit is on the number itself, and those below it that are free may still be given out.
    free = (number for number in itertools.count() if number not in used)
    limit = next(itertools.islice(free, more, None))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(limit, before[0]), before[1]))
    with alive_afterwards(lab):
        try:
            yield
        finally:
            # as long as it is not reaped, its number cannot have passed to a stranger
            with suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


@contextmanager
def few_ports(lab: Lab, left: int = 2) -> Iterator[None]:
    """So many UDP ports left of the range for media: a PeerConnection beyond is refused with 490."""
    first, last = lab.options.rtp_ports
    words = [lab.address, str(first), str(last), str(left)]
    command = lab.network.inside(sys.executable, "-I", "-S", "-c", _HOLD_PORTS, *words)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as holder:
        assert holder.stdin is not None and holder.stdout is not None and holder.stderr is not None
        if not holder.stdout.readline().strip().isdigit():
            reason = holder.stderr.read().decode(errors="replace").strip().splitlines()
            raise LabError(f"the UDP ports cannot be held: {reason[-1] if reason else 'no reason given'}")
        try:
            yield
        finally:
            holder.stdin.close()


@contextmanager
def _limited(lab: Lab, limits: Limits) -> Iterator[None]:
    """Move Janus into groups of their own, and back at the end."""
    with ExitStack() as stack:
        with uninterrupted():
            stack.callback(limits.close)
            stack.callback(limits.release)
        limits.take(lab.pid)
        yield
