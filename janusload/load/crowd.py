"""How many users there are: Locust makes and ends them, each begins at its own turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from janusload.load.player import Order
from janusload.scenario import Scenario


class Crowd:
    """The users of a run.

    Args:
        runner: Locust's, local or of the master.
        order: tells every process of the generator what to do.
        apart: whether the users live in other processes.

    Attributes:
        asked: how many users there are to be now.
        spawned: how many were asked for in all, those that have gone included.
    """

    def __init__(self, scenario: Scenario, runner: Any, order: Callable[[Order], None], *, apart: bool = False) -> None:
        self._apart = apart
        self._scenario = scenario
        self._runner = runner
        self._order = order
        self.asked = 0
        self.spawned = 0

    def ask(self, users: int, begin_ns: int, *, over_s: float | None = None) -> float:
        """Have so many users, the first new one at `begin_ns`; returns seconds until the last of them begins.

        Args:
            over_s: new users are spread over this time; None for the rates of their groups.
        """
        new = users - self.asked
        if new == 0:
            return 0.0
        self.asked = users
        if new < 0:
            self._start(users, -new)
            return 0.0
        self.spawned += new
        rates, lasts_s = self._rates(new, over_s)
        self._order({"order": "turns", "at_ns": begin_ns, "rates": rates})
        # all at once: Locust would let them come in lumps, so each of them waits for its turn
        self._start(users, users)
        return lasts_s

    def leave(self) -> None:
        """Have nobody, in order."""
        self._order({"order": "leave"})
        if not self._apart:
            self._runner.stop()  # workers end their users when they hand over their records

    def _start(self, users: int, rate: float) -> None:
        if self._apart:
            # Locust's master waits here until its workers have reported, which they do every three seconds
            gevent.spawn(self._runner.start, users, spawn_rate=rate)
        else:
            self._runner.start(users, spawn_rate=rate)

    def _rates(self, new: int, over_s: float | None) -> tuple[dict[str, float], float]:
        groups = self._scenario.users
        first = self.spawned == new
        if over_s is not None:
            weighted = [group for group in groups if group.weight is not None]
            total = sum(group.weight or 0.0 for group in weighted)
            rates = {group.name: new / over_s * (group.weight or 0.0) / total for group in weighted}
            return rates, over_s
        rates = {group.name: group.spawn_rate for group in groups}
        coming = {
            group.name: group.count if group.count is not None and first else 0 if group.count is not None else new
            for group in groups
        }
        return rates, max((coming[name] / rate for name, rate in rates.items()), default=0.0)
