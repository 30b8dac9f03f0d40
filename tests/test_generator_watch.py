"""Whether the generator is the limit: said after some seconds of it, and unsaid after some without."""

from __future__ import annotations

from typing import Any

import pytest

from janusload.generator_watch import IN_A_ROW, GeneratorWatch, troubles

WELL: dict[str, Any] = {"cpu_percent": 20.0, "lag_p99_ms": 3.0, "schedule_lag_p99_ms": None, "late_limit_ms": 20.0}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ""),
        ({"lag_p99_ms": 19.0}, ""),
        ({"lag_p99_ms": 31.0}, "31 ms late"),
        ({"schedule_lag_p99_ms": 45.0}, "45 ms late"),
        ({"cpu_percent": 97.0}, "97 % of a core"),
        ({"exhausted": 2}, "open files"),
        # nobody takes an arrival while the server has no connection for it
        ({"dropped": 40}, ""),
        ({"cpu_percent": None, "lag_p99_ms": None}, ""),
    ],
)
def test_what_counts_as_not_keeping_up(changes: dict[str, Any], words: str) -> None:
    found = ", ".join(troubles({**WELL, **changes}))
    assert bool(found) is bool(words) and words in found


def played(pattern: str) -> list[bool]:
    """Whether it is said to be the limit after each second; `x` is one in which it did not keep up."""
    watch, said = GeneratorWatch(), []
    for second, letter in enumerate(pattern):
        watch.take({**WELL, "lag_p99_ms": 90.0 if letter == "x" else 3.0}, second * 10**9)
        said.append(watch.limited is not None)
    return said


def test_single_seconds_are_no_state() -> None:
    assert not any(played("." * 5 + "x" * (IN_A_ROW - 1) + "." + "x" * (IN_A_ROW - 1)))
    assert played("xxxx.x..xx") == [False] * 3 + [True] * 7


def test_it_ends_when_it_keeps_up_again_and_begins_when_it_began() -> None:
    assert played("xxxx" + "." * IN_A_ROW) == [False] * 3 + [True] * IN_A_ROW + [False]
    watch = GeneratorWatch()
    for second in range(10):
        watch.take({**WELL, "cpu_percent": 99.0 if second >= 3 else 10.0}, second)
    assert watch.limited is not None and watch.limited.since_ns == 3 and watch.limited.why == "99 % of a core"
