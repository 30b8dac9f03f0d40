"""When sessions are kept alive: evenly spread over the interval, whatever rhythm they were created in. Pure."""

from __future__ import annotations

import itertools
import os

from janusload.errors import UsageError

#: no session is kept alive more seldom than this, however patient the server is
AT_MOST_S = 25.0

#: share of the server's session timeout: below one half, so that one lost keepalive does no harm
SHARE = 0.4

#: fractional part of the golden ratio: multiples of it, modulo 1, lie as evenly as any row of points can that does not
#: know its own length (Weyl; Knuth, TAOCP 3, 6.4)
_GOLDEN = 0.6180339887498949

_count = itertools.count(1)


def interval_s(session_timeout_s: float) -> float:
    """How often a session is to be kept alive, given the server's session timeout; 0 where that never comes."""
    return min(AT_MOST_S, SHARE * session_timeout_s)


def require_fit(keepalive_s: float | None, session_timeout_s: float | None) -> None:
    """Check an interval that was asked for against the server's session timeout, where that is known.

    Raises:
        UsageError: it is more than half of it.
    """
    if keepalive_s is not None and session_timeout_s and keepalive_s > session_timeout_s / 2:
        raise UsageError(
            f"a keepalive every {keepalive_s:g} s is too seldom: the session timeout is {session_timeout_s:g} s"
        )


def next_phase() -> float:
    """The phase of one more session of this process, 0..1: the next one falls into the widest gap left.

    Processes start at different places, so that their users are not in step either.
    """
    return (next(_count) * _GOLDEN + os.getpid() * _GOLDEN * _GOLDEN) % 1.0


def first_after_s(now_s: float, interval_s: float, phase: float) -> float:
    """How long to wait from `now_s` (monotonic) for the first moment of this phase: more than 0, at most one interval.

    Moments are those at which the clock reads `(k + phase) * interval_s`: tied to the clock, not to the creation of the
    session, so that sessions created in a burst, or one per interval, do not come in step.
    """
    return interval_s - (now_s - phase * interval_s) % interval_s or interval_s
