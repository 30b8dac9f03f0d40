"""What one process of the generator does when it is told: the orders of the conductor, carried out.

Orders are plain dicts, so that they can go to workers in other processes and on other machines. Their moments are
nanoseconds of the monotonic clock of whoever carries them out.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import gevent

from janusload.load.arrivals import Arrivals
from janusload.load.stage import Stage
from janusload.load.turns import LifeClock
from janusload.pacing import Leg, Schedule

Order = dict[str, Any]


class Player:
    """Carries out orders in one process.

    Args:
        arrivals: the stream; None without one.
        worker, of: its place among all.
        on_dropped: called for each life of a churn that nobody was free for; it is recorded already.
    """

    def __init__(
        self,
        stage: Stage,
        arrivals: Arrivals | None,
        worker: int = 0,
        of: int = 1,
        *,
        on_dropped: Callable[[], None] = lambda: None,
    ) -> None:
        self._stage = stage
        self._arrivals = arrivals
        self._worker = worker
        self._of = of
        self._on_dropped = on_dropped
        self._senders: list[gevent.Greenlet] = []
        self._does: dict[str, Callable[..., None]] = {
            "open": self._open,
            "step": self._step,
            "send": self._send,
            "halt": self._halt,
            "turns": self._turns,
            "lives": self._lives,
            "leave": self._leave,
        }

    def obey(self, order: Order) -> None:
        """Carry out one order. Raises what it raises (ConnectFailed where the stream cannot be opened)."""
        arguments = {key: value for key, value in order.items() if key != "order"}
        self._does[order["order"]](**arguments)

    def close(self) -> None:
        self._halt()
        if self._arrivals is not None:
            self._arrivals.close()

    def _open(self) -> None:
        if self._arrivals is not None:
            self._arrivals.open()

    def _step(self, step: int, at_ns: int) -> None:
        self._stage.recorder.begin_step(step, at_ns)

    def _send(self, leg: list[float], at_ns: int, poisson_seed: str | None) -> None:
        """Send the arrivals of one leg, which begins at `at_ns`."""
        if self._arrivals is not None:
            schedule = Schedule([Leg(*leg)], poisson_seed=poisson_seed)
            self._senders = [each for each in self._senders if not each.dead]
            self._senders.append(gevent.spawn(self._arrivals.run, schedule, at_ns))

    def _halt(self) -> None:
        """Send no more, and let no further life begin."""
        gevent.killall(self._senders)
        self._senders.clear()
        if self._stage.lives is not None:
            self._stage.lives.end(time.monotonic_ns())

    def _turns(self, at_ns: int, rates: dict[str, float]) -> None:
        """Users that come from now on begin one after the other, from `at_ns` on."""
        for group, rate in rates.items():
            self._stage.turns.open(group, at_ns, rate)

    def _lives(self, at_ns: int, rate: float) -> None:
        self._stage.lives = LifeClock(at_ns, rate, self._worker, self._of, on_dropped=self._drop_life)

    def _drop_life(self, due_ns: int) -> None:
        self._stage.recorder.drop_life(due_ns)
        self._on_dropped()

    def _leave(self) -> None:
        self._stage.leaving.set()
