"""Waiting for what another thread or greenlet brings about."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent


def wait_until(condition: Callable[[], object], within_s: float = 5.0) -> None:
    """Return as soon as it is so; fail if it does not become so."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        gevent.sleep(0.005)
