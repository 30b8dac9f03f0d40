"""The open-loop stream under test: requests leave when they are due, whatever became of those before.

One greenlet walks the schedule; nothing waits for an answer. A session that was created is destroyed at once, also when
the answer came after its timeout. An arrival that no connection could take is recorded as dropped, never sent later.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

import gevent

from janusload.errors import ConnectFailed
from janusload.janus.channel import SETTLE_S
from janusload.janus.connection import Connection
from janusload.janus.protocol import Transaction, created_id
from janusload.load.alarm import Alarm
from janusload.load.health import Gauges, Health
from janusload.pacing import Schedule
from janusload.records import Outcome

#: how often a lost connection of the pool is opened again; each try is a record of its own
REOPEN_EVERY_S = 1.0

#: after so many arrivals in a row without a pause the other greenlets get their turn
_BREATHE_EVERY = 20


class Arrivals:
    """Sends a request at the moments of schedules, over a pool of connections.

    Args:
        connect: makes one (closed) connection of the pool, given its number.
        size: connections in the pool.
        timeout_s: T.
        health: told how late each arrival left.
        verb: what is asked: `create`, `info` or `ping`.
        worker, of: this worker's place among all: it sends every `of`-th arrival.
    """

    def __init__(
        self,
        connect: Callable[[int], Connection],
        size: int,
        timeout_s: float,
        health: Health,
        *,
        verb: str = "create",
        worker: int = 0,
        of: int = 1,
    ) -> None:
        self._connect = connect
        self._timeout_s = timeout_s
        self._health = health
        self._verb = verb
        self._worker = worker
        self._of = of
        self._pool: list[Connection] = [connect(number) for number in range(size)]
        self._sent = 0
        #: arrivals that were handed over and have not ended
        self.pending = 0
        self._alarm = Alarm()
        self._keeper: gevent.Greenlet | None = None
        self._unwanted: deque[tuple[Connection, int]] = deque()
        self._sweeper: gevent.Greenlet | None = None

    @property
    def in_flight(self) -> int:
        """Everything on the pool that waits for an answer, destroys included."""
        return sum(connection.in_flight for connection in self._pool)

    def gauges(self, users: int) -> Gauges:
        """What is under way, beside so many users."""
        return Gauges(self.in_flight, users, self.pending)

    def open(self) -> None:
        """Open the pool; again is nothing. Raises ConnectFailed if one of them does not come up."""
        if self._keeper is not None:
            return
        for connection in self._pool:
            connection.open()
        self._keeper = gevent.spawn(self._keep_open)

    def close(self) -> None:
        """Destroy what is left and close the pool; what is pending ends as cut."""
        if self._keeper is not None:
            self._keeper.kill()
        until = time.monotonic() + SETTLE_S
        while (self._unwanted or self.in_flight) and time.monotonic() < until:
            gevent.sleep(0.005)
        for connection in self._pool:
            connection.close()
        self._alarm.close()

    def run(self, schedule: Schedule, started_ns: int) -> int:
        """Send every arrival of a schedule that is this worker's; returns how many that were.

        Args:
            started_ns: when the schedule begins.
        """
        sent = 0
        for arrival in schedule.arrivals(self._worker, self._of):
            due_ns = started_ns + round(arrival.due_s * 1e9)
            if due_ns > time.monotonic_ns():
                self._alarm.wait_until(due_ns)
            elif sent % _BREATHE_EVERY == 0:
                gevent.sleep(0)
            self._health.left_late_by((time.monotonic_ns() - due_ns) / 1e9)
            self._send(due_ns)
            sent += 1
        return sent

    def _send(self, due_ns: int) -> None:
        connection = self._pool[self._sent % len(self._pool)]
        self._sent += 1
        self.pending += 1
        connection.submit(
            self._verb,
            timeout_s=self._timeout_s,
            due_ns=due_ns,
            on_done=lambda transaction: self._answered(connection, transaction),
            on_late=connection.destroy_late,
        )

    def _answered(self, connection: Connection, transaction: Transaction) -> None:
        self.pending -= 1
        if transaction.outcome is Outcome.DROPPED:
            self._health.count_dropped()
        elif self._verb == "create" and transaction.outcome is Outcome.OK and transaction.reply is not None:
            self._unwanted.append((connection, created_id(transaction.reply)))
            if self._sweeper is None:
                self._sweeper = gevent.spawn(self._sweep)

    def _sweep(self) -> None:
        """Destroy what was created, a few at a time: a server that was held up answers in bursts, and the answers
        behind the first must be stamped before anything else is done about it."""
        while self._unwanted:
            for _ in range(min(_BREATHE_EVERY, len(self._unwanted))):
                connection, session_id = self._unwanted.popleft()
                connection.submit("destroy", fields={"session_id": session_id})
            gevent.sleep(0.001)
        self._sweeper = None

    def _keep_open(self) -> None:
        while True:
            gevent.sleep(REOPEN_EVERY_S)
            for number, connection in enumerate(self._pool):
                if not connection.is_open:
                    fresh = self._connect(number)
                    try:
                        fresh.open()
                    except ConnectFailed:
                        continue  # recorded by its observer; the next round tries again
                    self._pool[number] = fresh
