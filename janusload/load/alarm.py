"""Waiting until a moment, to a fraction of a millisecond.

gevent's own timers are rounded up to whole milliseconds by epoll_wait, which an open-loop stream would report as
latency of the server. A timerfd (timerfd_create(2)) rings when it should; Python has it from 3.13 on only.
"""

from __future__ import annotations

import ctypes
import os
import time
from typing import Any

import gevent
import gevent.hub

_CLOCK_MONOTONIC = 1
_ABSOLUTE = 1


class Alarm:
    """Wakes one greenlet at a time; `close` it when nobody waits any more."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._fd = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        #: interval (none) and moment, each as seconds and nanoseconds: struct itimerspec
        self._setting = (ctypes.c_long * 4)()
        self._watcher: Any = gevent.get_hub().loop.io(self._fd, 1)
        self._waiter: Any = None

    def wait_until(self, moment_ns: int) -> None:
        """Return at this moment of the monotonic clock, or at once if it has passed."""
        if moment_ns <= time.monotonic_ns():
            return
        self._setting[2], self._setting[3] = divmod(moment_ns, 1_000_000_000)
        if self._libc.timerfd_settime(self._fd, _ABSOLUTE, self._setting, None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime")
        self._waiter = gevent.hub.Waiter()
        if not self._watcher.active:
            # it stays armed: starting and stopping would be two system calls for each wait
            self._watcher.start(self._ring)
        try:
            self._waiter.get()
        finally:
            self._waiter = None

    def close(self) -> None:
        """Give the descriptor back. Idempotent."""
        if self._fd >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._fd)
            self._fd = -1

    def _ring(self) -> None:
        try:
            os.read(self._fd, 8)
        except BlockingIOError:
            return  # set anew in the meantime
        if self._waiter is not None:
            self._waiter.switch(None)
