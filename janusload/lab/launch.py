"""What runs between fork and Janus: joins its control groups and namespaces, then becomes Janus.

A program of its own, started by exec, because `preexec_fn` is not safe in a process with threads. It runs as
`python -I -S launch.py SPEC`, imports the standard library only, and SPEC is JSON without secrets::

    {"owner": 4711, "namespace": "/proc/4711/fd/5", "groups": ["/sys/fs/cgroup/cpu/x/cgroup.procs"],
     "open_files": 1024, "tree": null, "command": ["/usr/bin/janus", ...]}

A `tree` is `{"root": ..., "stage": ..., "shared": [...]}`: Janus then has a mount namespace of its own, in which `/` is
put together on `stage` from the tree `root` (read only), the machine's /proc and /dev, and the `shared` folders, each
under its own path. It goes with the process.

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
_CLONE_NEWNS = 0x00020000

# mount(2)
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_REMOUNT, _MS_BIND = 0x1, 0x2, 0x4, 0x20, 0x1000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000

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
    # A core would land among the recordings and fill their disk, and Janus lifts any limit on it: so there is nothing
    # in it but the threads' registers (core(5)).
    with open("/proc/self/coredump_filter", "w", encoding="ascii") as parts:
        parts.write("0")
    if spec["open_files"] is not None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (spec["open_files"], spec["open_files"]))
    namespace = os.open(spec["namespace"], os.O_RDONLY | os.O_CLOEXEC)
    _call(libc, "setns", namespace, _CLONE_NEWNET)
    if spec["tree"] is not None:
        _enter(libc, spec["tree"])
    os.chdir(spec["folder"])
    os.execv(spec["command"][0], spec["command"])


def _enter(libc: ctypes.CDLL, tree: dict[str, Any]) -> None:
    """Put `/` together from `tree` and go there."""
    root, stage = tree["root"], tree["stage"]
    _call(libc, "unshare", _CLONE_NEWNS)
    # What is mounted here stays here; what is mounted outside later, shows here too.
    _mount(libc, "none", "/", _MS_REC | _MS_SLAVE)
    _mount(libc, "tmpfs", stage, _MS_NOSUID | _MS_NODEV, kind="tmpfs", data="mode=755,size=1m")
    for name in os.listdir(root):
        os.mkdir(f"{stage}/{name}")
        _mount(libc, f"{root}/{name}", f"{stage}/{name}", _MS_BIND)
        _mount(libc, "none", f"{stage}/{name}", _MS_BIND | _MS_REMOUNT | _MS_RDONLY)
    # A merged /usr (https://wiki.debian.org/UsrMerge): these belong to the package base-files.
    for name in ("bin", "lib", "lib64", "sbin"):
        if not os.path.exists(f"{stage}/{name}"):
            os.symlink(f"usr/{name}", f"{stage}/{name}")
    os.mkdir(f"{stage}/tmp", 0o1777)
    for path in ("/proc", "/dev", *tree["shared"]):
        os.makedirs(f"{stage}{path}", exist_ok=True)
        _mount(libc, path, f"{stage}{path}", _MS_BIND | _MS_REC)
    os.chroot(stage)
    os.chdir("/")


def _mount(libc: ctypes.CDLL, source: str, target: str, flags: int, kind: str = "none", data: str = "") -> None:
    _call(libc, "mount", os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), data.encode())


def _call(libc: ctypes.CDLL, name: str, *arguments: int | bytes | ctypes.c_ulong) -> None:
    if getattr(libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        target = f" {os.fsdecode(arguments[1])}" if len(arguments) > 1 and isinstance(arguments[1], bytes) else ""
        raise OSError(number, f"{name}{target}: {os.strerror(number)}")


if __name__ == "__main__":
    try:
        become(json.loads(sys.argv[1]))
    except (OSError, ValueError) as error:
        sys.stderr.write(f"janusload: Janus could not be started: {error}\n")
        raise SystemExit(EXIT_NOT_STARTED) from None
