"""Starts a media worker's process: by exec, in an interpreter of its own, with one end of a socketpair."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import janusload
from janusload.errors import MediaError


def launch(number: int, fd: int, *, public_targets: bool, tick: str) -> subprocess.Popen[bytes]:
    """Start worker `number` with the socket `fd`; the caller closes its own copy of that. `tick` is a `TickChoice`.

    `subprocess` is whichever is in force: gevent's where it is patched in, else Python's own.

    Raises:
        MediaError: phase `worker`; the process cannot be started.
    """
    # this package must be found there too, wherever the run was started
    root = str(Path(janusload.__file__).parent.parent)
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    options = ["--fd", str(fd), "--number", str(number), "--parent", str(os.getpid()), "--tick", tick]
    if public_targets:
        options.append("--public-targets")
    try:
        return subprocess.Popen(
            [sys.executable, "-m", "janusload.media.worker", *options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[fd],
            env={**os.environ, "PYTHONPATH": path},
        )
    except OSError as exc:
        raise MediaError(f"the media worker cannot be started: {exc.strerror}", phase="worker") from exc


def describe_exit(code: int | None) -> str:
    """An exit code in words; None is a process that has not ended."""
    if code is None:
        return "it does not end"
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit status {code}"
