"""What runs between fork and Janus: joins its control groups and its network namespace, then becomes Janus.

A program of its own, started by exec, because `preexec_fn` is not safe in a process with threads. It runs as
`python -I -S launch.py SPEC`, imports the standard library only, and SPEC is JSON without secrets::

    {"owner": 4711, "namespace": "/proc/4711/fd/5", "groups": ["/sys/fs/cgroup/cpu/x/cgroup.procs"],
     "open_files": 1024, "command": ["/usr/bin/janus", ...]}

The kernel ties PR_SET_PDEATHSIG to the parent's *thread*: start it from a thread that lives as long as the lab.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import sys
from typing import Any

_PR_SET_PDEATHSIG = 1
_CLONE_NEWNET = 0x40000000

#: exit status when Janus could not be started (EX_OSERR of sysexits.h)
EXIT_NOT_STARTED = 71


def become(spec: dict[str, Any]) -> None:
    """Do as `spec` says and exec its command; returns only by exception.

    Raises:
        OSError: a step was refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    _call(libc, "prctl", _PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
    # The owner may have died before prctl: then no signal will come.
    if os.getppid() != spec["owner"]:
        raise ProcessLookupError("the process that wanted Janus is gone")
    # Before exec, so that every thread that Janus ever has starts inside.
    for group in spec["groups"]:
        with open(group, "w", encoding="ascii") as procs:
            procs.write(str(os.getpid()))
    if spec["open_files"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spec["open_files"], spec["open_files"]))
    namespace = os.open(spec["namespace"], os.O_RDONLY | os.O_CLOEXEC)
    _call(libc, "setns", namespace, _CLONE_NEWNET)
    os.execv(spec["command"][0], spec["command"])


def _call(libc: ctypes.CDLL, name: str, *arguments: int) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        become(json.loads(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"janusload: Janus could not be started: {error}\n")
        raise SystemExit(EXIT_NOT_STARTED) from None
