"""A collector that hangs is not waited for, not asked again, and counted."""

from __future__ import annotations

import threading
import time

from janusload.server.bounded import Bounded


def test_what_hangs_is_left_to_hang_and_its_late_answer_is_not_taken_for_a_new_one() -> None:
    go_on = threading.Event()
    answers = iter(["first", "second", "third"])
    calls = []

    def collect() -> str:
        calls.append(1)
        if len(calls) == 2:
            go_on.wait()
        return next(answers)

    bounded = Bounded("test", collect, within_s=0.2)
    assert bounded.collect() == "first"
    began = time.monotonic()
    assert bounded.collect() is None
    assert bounded.collect() is None
    assert time.monotonic() - began < 1.0 and len(calls) == 2 and bounded.late == 2
    go_on.set()
    while bounded.collect() is None:
        assert time.monotonic() - began < 5.0
    assert len(calls) == 3
    bounded.close()


def test_what_fails_is_counted_with_its_words() -> None:
    def collect() -> int:
        raise PermissionError("no such right")

    bounded = Bounded("test", collect, within_s=1.0)
    assert bounded.collect() is None and bounded.collect() is None
    assert bounded.errors == 2 and bounded.late == 0 and "no such right" in bounded.error
    bounded.close()
