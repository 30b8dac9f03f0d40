"""Who begins when: users are spawned at the rate asked, and lives of a churn begin at theirs.

Locust spawns in lumps (20 a second = 20 at once each second), so it is asked for all users at once and each waits for
its own turn. Turns are striped over the workers: turn k of worker w of n is turn k * n + w of all.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable

#: a life that could not begin so long after it was due is dropped: nobody was free
LATE_S = 1.0


class Turns:
    """When the users of each group begin.

    Args:
        worker, of: this worker's place among all.
    """

    def __init__(self, worker: int = 0, of: int = 1) -> None:
        self._worker = worker
        self._of = of
        self._taken: defaultdict[str, int] = defaultdict(int)
        #: per group: (number of its first user, when it begins, users per second), the latest last
        self._open: defaultdict[str, list[tuple[int, int, float]]] = defaultdict(list)

    def open(self, group: str, begin_ns: int, rate_per_s: float) -> None:
        """Users of this group that come from now on begin at this rate, the first of all workers at `begin_ns`."""
        self._open[group].append((self._taken[group], begin_ns, rate_per_s))

    def take(self, group: str) -> tuple[int, int]:
        """The number of the next user among all of its group, from 0, and when it begins (0: at once)."""
        number = self._taken[group]
        self._taken[group] += 1
        due_ns = 0
        if self._open[group]:
            first, begin_ns, rate = self._open[group][-1]
            due_ns = begin_ns + round(((number - first) * self._of + self._worker) / rate * 1e9)
        return number * self._of + self._worker, due_ns


class LifeClock:
    """When lives begin, whoever lives them: open loop.

    Args:
        begin_ns: when the first life of all workers begins.
        rate_per_s: lives per second of all workers together.
        on_dropped: called with the due moment of each life that nobody was free for.

    Attributes:
        over: set by `end`: no further life begins.
    """

    def __init__(
        self,
        begin_ns: int,
        rate_per_s: float,
        worker: int = 0,
        of: int = 1,
        *,
        on_dropped: Callable[[int], None] = lambda due_ns: None,
    ) -> None:
        self._begin_ns = begin_ns
        self._step_ns = of / rate_per_s * 1e9
        self._offset_ns = worker / rate_per_s * 1e9
        self._next = 0
        self._on_dropped = on_dropped
        self.over = False

    def take(self) -> int:
        """The moment at which the next life is due; those that are overdue are dropped."""
        self._drop(time.monotonic_ns() - round(LATE_S * 1e9))
        due_ns = self._due_ns(self._next)
        self._next += 1
        return due_ns

    def end(self, now_ns: int) -> None:
        """No life begins any more; those that were due by now and nobody took are dropped."""
        if not self.over:
            self.over = True
            self._drop(now_ns)

    def _drop(self, until_ns: int) -> None:
        while (due_ns := self._due_ns(self._next)) < until_ns:
            self._next += 1
            self._on_dropped(due_ns)

    def _due_ns(self, k: int) -> int:
        return self._begin_ns + round(self._offset_ns + k * self._step_ns)
