"""Open files of this process: how many it may have, and has."""

from __future__ import annotations

import os
import resource


def raise_limit() -> None:
    """As many as the hard limit allows: a connection is one, and so is a peer."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def count() -> int:
    """How many there are; the limit where there is none left to look with."""
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:
        return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
