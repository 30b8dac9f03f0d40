"""Watches the generator itself: a number that the generator bent is not the server's."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import gevent
import psutil

from janusload.records import HealthRecord, Record

#: ticks so often that the p99 of a second is more than its worst moment
_TICK_S = 0.004


class Health:
    """One HealthRecord a second about this process.

    Args:
        write: takes the records.
        gauges: returns (in flight, users) at the moment.
    """

    def __init__(self, write: Callable[[Record], None], gauges: Callable[[], tuple[int, int]]) -> None:
        self._write = write
        self._gauges = gauges
        self._process = psutil.Process()
        self._lags_ms: list[float] = []
        self._schedule_lags_ms: list[float] = []
        self._greenlets: list[gevent.Greenlet] = []
        self.latest: HealthRecord | None = None
        self.dropped = 0

    def start(self) -> None:
        self._process.cpu_percent()
        self._greenlets = [gevent.spawn(self._measure_lag), gevent.spawn(self._report)]

    def stop(self) -> None:
        gevent.killall(self._greenlets)

    def left_late_by(self, lag_s: float) -> None:
        """An arrival left `lag_s` after it was due."""
        self._schedule_lags_ms.append(lag_s * 1e3)

    def _measure_lag(self) -> None:
        while True:
            began = time.monotonic()
            gevent.sleep(_TICK_S)
            self._lags_ms.append(max(0.0, time.monotonic() - began - _TICK_S) * 1e3)

    def _report(self) -> None:
        while True:
            gevent.sleep(1)
            lags, self._lags_ms = self._lags_ms, []
            schedule_lags, self._schedule_lags_ms = self._schedule_lags_ms, []
            dropped, self.dropped = self.dropped, 0
            in_flight, users = self._gauges()
            self.latest = HealthRecord(
                t_ns=time.monotonic_ns(),
                process=f"load-{os.getpid()}",
                cpu_percent=self._process.cpu_percent(),
                rss_bytes=self._process.memory_info().rss,
                fds=self._process.num_fds(),
                lag_p99_ms=_p99(lags),
                schedule_lag_p99_ms=_p99(schedule_lags),
                dropped=dropped,
                in_flight=in_flight,
                users=users,
            )
            self._write(self.latest)


def _p99(values: list[float]) -> float | None:
    if not values:
        return None
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
