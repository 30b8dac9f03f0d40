"""What can go wrong with a Janus, done to the lab's on purpose, each with its undo.

::

    with faults.freeze(lab):
        ...  # Janus stands still
    # and goes on

Every fault is a context manager: it returns from entering once the fault is in force, and leaving undoes it, starting
Janus anew where it did not live through it. `FAULTS` has them by name, as `janusload lab fault NAME` does. Where this
machine does not allow one, entering raises a LabError that says what is missing, and nothing has changed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from janusload.errors import UsageError
from janusload.lab.faults.disk import disk_frozen, disk_full, disk_slow
from janusload.lab.faults.path import path_cut, path_delay, path_loss, path_narrow
from janusload.lab.faults.process import crash, freeze, kill
from janusload.lab.faults.refusal import refuse_sessions
from janusload.lab.faults.resources import cpu, few_fds, few_ports, few_threads, memory
from janusload.lab.faults.stall import handler_stall, plugin_stall, total_stall
from janusload.lab.instance import Lab

__all__ = [
    "FAULTS",
    "Fault",
    "cpu",
    "crash",
    "disk_frozen",
    "disk_full",
    "disk_slow",
    "few_fds",
    "few_ports",
    "few_threads",
    "freeze",
    "handler_stall",
    "kill",
    "memory",
    "named",
    "path_cut",
    "path_delay",
    "path_loss",
    "path_narrow",
    "plugin_stall",
    "refuse_sessions",
    "total_stall",
]


class Fault(NamedTuple):
    """One fault.

    Attributes:
        inject: does it to a lab, for as long as its block lasts.
        does: what it does, in words.
        undo: what ends it, in words.
    """

    inject: Callable[[Lab], AbstractContextManager[None]]
    does: str
    undo: str


FAULTS: dict[str, Fault] = {
    "freeze": Fault(freeze, "the process is stopped (SIGSTOP)", "SIGCONT"),
    "kill": Fault(kill, "the process is killed (SIGKILL)", "started anew"),
    "crash": Fault(crash, "the process dies of a segmentation fault (SIGSEGV)", "started anew"),
    "handler-stall": Fault(
        handler_stall, "AudioBridge's handler thread hangs opening a recording (a FIFO)", "the FIFO gets a reader"
    ),
    "plugin-stall": Fault(
        plugin_stall, "AudioBridge hangs opening a recording, its room's lock held (a FIFO)", "the FIFO gets a reader"
    ),
    "total-stall": Fault(
        total_stall, "the same, then a hangup and an attach: the whole API hangs too", "the FIFO gets a reader"
    ),
    "cpu": Fault(cpu, "a CPU quota of 1 % of a core", "no quota"),
    "memory": Fault(memory, "a memory limit 8 MB above what it has", "no limit"),
    "few-fds": Fault(few_fds, "no more open files", "the limit before; started anew if it died"),
    "few-threads": Fault(few_threads, "no more threads (pids control group)", "no limit"),
    "few-ports": Fault(few_ports, "two UDP ports left of the media range", "the others are let go"),
    "refuse-sessions": Fault(refuse_sessions, "create is refused (accept_new_sessions)", "accepted again"),
    "disk-full": Fault(disk_full, "the recordings' disk is full", "the filler is removed"),
    "disk-frozen": Fault(disk_frozen, "the recordings' file system is frozen (fsfreeze)", "thawed"),
    "disk-slow": Fault(disk_slow, "the recordings' disk takes 200 kB/s (blkio throttle)", "no throttle"),
    "path-cut": Fault(path_cut, "the veth pair is down", "up again"),
    "path-loss": Fault(path_loss, "20 % of the packets are lost each way (netem)", "no queueing discipline"),
    "path-delay": Fault(path_delay, "100 ms each way (netem)", "no queueing discipline"),
    "path-narrow": Fault(path_narrow, "200 kbit/s each way, at most 400 ms queued (tbf)", "no queueing discipline"),
}


def named(name: str) -> Fault:
    """The fault of that name.

    Raises:
        UsageError: there is none.
    """
    try:
        return FAULTS[name]
    except KeyError:
        raise UsageError(f"there is no fault {name!r}; there are: {', '.join(FAULTS)}") from None
