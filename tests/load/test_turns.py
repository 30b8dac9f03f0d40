"""Users begin one by one at the rate asked, and lives of a churn open-loop, however many workers there are."""

from __future__ import annotations

import time

from janusload.load.turns import LATE_S, LifeClock, Turns


def test_users_of_all_workers_together_begin_at_the_rate() -> None:
    workers = [Turns(worker, 3) for worker in range(3)]
    for turns in workers:
        turns.open("talker", 1_000_000_000, 4.0)
    taken = sorted(turns.take("talker") for turns in workers for _ in range(5))
    assert [number for number, _ in taken] == list(range(15))
    assert [due for _, due in taken] == [1_000_000_000 + number * 250_000_000 for number in range(15)]


def test_later_users_have_a_rate_of_their_own() -> None:
    turns = Turns()
    assert turns.take("a") == (0, 0), "nobody said anything: at once"
    turns.open("a", 500, 10.0)
    assert [turns.take("a") for _ in range(2)] == [(1, 500), (2, 500 + 100_000_000)]
    turns.open("a", 900, 1.0)
    assert turns.take("a") == (3, 900)


def test_lives_are_striped_and_overdue_ones_dropped() -> None:
    now = time.monotonic_ns()
    clocks = [LifeClock(now, 10.0, worker, 2) for worker in range(2)]
    due = sorted(clock.take() for clock in clocks for _ in range(3))
    assert [round((moment - now) / 1e8) for moment in due] == [0, 1, 2, 3, 4, 5]
    dropped: list[int] = []
    begin = now - round((LATE_S + 2.0) * 1e9)
    late = LifeClock(begin, 10.0, on_dropped=dropped.append)
    first = late.take()
    assert 20 <= len(dropped) <= 25 and dropped == [begin + k * 100_000_000 for k in range(len(dropped))]
    assert first >= now - LATE_S * 1e9
    late.end(first + 350_000_000)
    late.end(first + 950_000_000)
    assert dropped[-3:] == [first + k * 100_000_000 for k in (1, 2, 3)], "due before the end, and nobody took them"
