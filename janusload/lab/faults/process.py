"""Faults of the process itself."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from janusload.errors import LabError
from janusload.lab.instance import Lab

_GONE_WITHIN_S = 5.0


@contextmanager
def freeze(lab: Lab) -> Iterator[None]:
    """Stop it (SIGSTOP): the kernel goes on accepting its connections, and nothing answers."""
    lab.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        lab.signal(signal.SIGCONT)


@contextmanager
def kill(lab: Lab) -> Iterator[None]:
    """Kill it (SIGKILL), as the kernel does when memory runs out."""
    with _gone(lab, signal.SIGKILL):
        yield


@contextmanager
def crash(lab: Lab) -> Iterator[None]:
    """Let it die of a segmentation fault (SIGSEGV)."""
    with _gone(lab, signal.SIGSEGV):
        yield


@contextmanager
def alive_afterwards(lab: Lab) -> Iterator[None]:
    """Start it anew at the end if it did not live through the block."""
    try:
        yield
    finally:
        if not lab.alive():
            lab.restart()


@contextmanager
def _gone(lab: Lab, number: signal.Signals) -> Iterator[None]:
    lab.signal(number)
    with alive_afterwards(lab):
        deadline = time.monotonic() + _GONE_WITHIN_S
        while lab.alive():
            if time.monotonic() > deadline:
                raise LabError(f"Janus does not die of {number.name}")
            time.sleep(0.005)
        yield
